"""What a run of scripts/chaos asks for and breaks: it follows from the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from installation import SERVICES

STORES = ("chaos-1", "chaos-2", "chaos-3")
MEDUSA_STORES = ("chaos-3",)
# What is ready before anything is broken, so that a short run has a store to change.
READY_STORE = STORES[0]
REPLICAS = 2
# What a creation usually takes, so that what is asked next mostly has its store.
CREATION_SECONDS = 25
# What can be broken, and how.
FAULTS = (
    *(("kill -9", service) for service in (*SERVICES, "helm-worker")),
    ("stop", "postgres"), ("crash", "postgres"), ("refuse", "Kubernetes"),
    ("refuse", "the object store"),
    *(("drop the connections of", each) for each in ("services", "postgres", "Kubernetes")),
)  # fmt: skip


@dataclass(frozen=True)
class Action:
    """What is asked for; `restore` and a creation with `from_backup` need one that is there."""

    pause: float
    verb: str
    store: str
    arguments: tuple[str, ...] = ()
    from_backup: bool = False


@dataclass(frozen=True)
class Fault:
    pause: float
    kind: str
    target: str
    # How long it lasts.
    seconds: float
    # Of a service: the numbers of those that are hit.
    replicas: tuple[int, ...] = ()

    def __str__(self) -> str:
        numbers = " and ".join(str(number) for number in self.replicas)
        return f"{self.kind} {self.target} {numbers}".rstrip()


def actions(seed: int, store: str) -> Iterator[Action]:
    """What is asked for of one store, one after another, without end."""
    random = Random(f"{seed} {store}")
    if store == READY_STORE:
        yield from _changes(random, store)
    pause = random.uniform(0, 4)
    while True:
        yield Action(pause, "create", store, from_backup=random.random() < 0.3)
        if random.random() < 0.4:
            yield Action(random.uniform(1, CREATION_SECONDS), "cancel", store)
            if random.random() < 0.7:
                yield Action(random.uniform(0, 4), "retry", store)
        elif random.random() < 0.8:
            yield Action(CREATION_SECONDS, *_change(random, store))
            yield from _changes(random, store)
        last = ("--final-backup",) if random.random() < 0.3 else ()
        yield Action(random.uniform(1, 15), "delete", store, last)
        pause = random.uniform(8, 14)


def _changes(random: Random, store: str) -> Iterator[Action]:
    for _ in range(random.randrange(1, 5)):
        yield Action(random.uniform(1, 10), *_change(random, store))


def _change(random: Random, store: str) -> tuple:
    verbs = (
        "upgrade", "upgrade", "rollback", "suspend", "resume", "resume", "cancel",
        "backup", "backup", "restore",
    )  # fmt: skip
    verb = random.choice(verbs)
    if verb == "rollback":
        return verb, store, ("--to", "1")
    # Of Medusa there are no values that tenants set.
    if verb == "upgrade" and store not in MEDUSA_STORES:
        limit = f"{random.randrange(8, 64)}M"
        return verb, store, ("--set", f"wordpress.php.ini.upload_max_filesize={limit}")
    return verb, store


def faults(seed: int) -> Iterator[Fault]:
    """What is broken, one after another, without end; every kind once before any comes again."""
    random = Random(f"{seed} faults")
    kinds = list(FAULTS)
    while True:
        random.shuffle(kinds)
        for kind, target in kinds:
            pause = random.uniform(1, 4)
            if kind.startswith("drop"):
                yield Fault(pause, kind, target, 0)
            elif target in SERVICES:
                numbers = [(1,), (2,), (1, 2)]
                hit = random.choices(numbers, weights=(2, 2, 1))[0]
                yield Fault(pause, kind, target, random.uniform(0.5, 4), hit)
            elif target == "helm-worker":
                yield Fault(pause, kind, target, 0, (1, 2))
            else:
                yield Fault(pause, kind, target, random.uniform(1, 6))
