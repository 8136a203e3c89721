#pragma once
#include <stdint.h>

// A thread on a machine that is only imagined: what it asks the real one for, the time and randomness,
// comes from here. Other threads, and all until it is entered, have what there is.

/// The calling thread is on the machine from now on.
void simulated_machine_enter(void);
/// What the machine's clocks show, in nanoseconds: the one that counts since its start, and the calendar.
void simulated_machine_set_clocks(int64_t boot, int64_t calendar);
/// Where the random numbers start from.
void simulated_machine_seed(uint64_t seed);
/// Keeps the calling thread, and what it starts from now on, to one of the processors that the process may use,
/// whichever `number` is: two that wait for each other are faster on one. A negative number: to none.
void simulated_machine_keep_to_processor(int number);
