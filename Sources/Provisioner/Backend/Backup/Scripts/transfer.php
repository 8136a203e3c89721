<?php
// Puts the archive of a backup into the object store and reads it back, or gets it and compares it
// with what is known of it. Usage: transfer.php put|get FILE. The addresses are signed, and expire.

const JOB = '/backup/job/';
// Of one object that is put in one piece.
const BYTES_MAX = 5 * 1024 ** 3;

function fail(string $code, string $words): never
{
    $words = substr(str_replace(["\r", "\n"], ' ', $words), 0, 500);
    file_put_contents('/dev/termination-log', "$code unchanged $words");
    exit(1);
}

function address(string $name): CurlHandle
{
    $curl = curl_init(trim(file_get_contents(JOB . $name)));
    curl_setopt_array($curl, [
        CURLOPT_CONNECTTIMEOUT => 15,
        CURLOPT_LOW_SPEED_LIMIT => 1,
        CURLOPT_LOW_SPEED_TIME => 60,
    ]);
    return $curl;
}

function judge(CurlHandle $curl, string $verb, string $answer): void
{
    if (curl_errno($curl)) {
        fail('BACKUP_STORE_UNREACHABLE', "$verb: " . curl_error($curl));
    }
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    if ($status === 200) {
        return;
    }
    $reason = preg_match('#<Code>([A-Za-z]+)</Code>#', $answer, $match) ? $match[1] : '';
    $code = match (true) {
        $status === 413 || $reason === 'EntityTooLarge' => 'BACKUP_TOO_LARGE',
        $status === 507 || preg_match('/Quota|StorageFull/', $reason) => 'BACKUP_NO_ROOM',
        $status === 404 && $reason === 'NoSuchKey' => 'BACKUP_MISSING',
        $status >= 500 || $status === 429 => 'BACKUP_STORE_UNREACHABLE',
        default => 'BACKUP_STORE_DENIED',
    };
    fail($code, "$verb answered $status $reason");
}

// The bytes and the digest of what is kept; written to $path where there is one.
function get(?string $path): array
{
    $digest = hash_init('sha256');
    $file = $path === null ? null : fopen($path, 'wb');
    $bytes = 0;
    $answer = '';
    $curl = address('get-address');
    curl_setopt($curl, CURLOPT_WRITEFUNCTION, function ($curl, $data) use (&$bytes, &$answer, $digest, $file) {
        if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
            $answer = substr($answer . $data, 0, 4096);
        } else {
            hash_update($digest, $data);
            $bytes += strlen($data);
            if ($file && @fwrite($file, $data) !== strlen($data)) {
                fail('BACKUP_NO_ROOM', 'the archive does not fit into the work folder');
            }
        }
        return strlen($data);
    });
    curl_exec($curl);
    judge($curl, 'GET', $answer);
    return [$bytes, hash_final($digest)];
}

[, $mode, $path] = $argv;
if ($mode === 'get') {
    [$bytes, $sum] = explode(' ', trim(file_get_contents(JOB . 'contents')));
    [$found, $digest] = get($path);
    if ("$found" !== $bytes || $digest !== $sum) {
        fail('BACKUP_DAMAGED', "it has $found bytes with SHA-256 $digest, not $bytes with $sum");
    }
    exit(0);
}
$bytes = filesize($path);
if ($bytes > BYTES_MAX) {
    fail('BACKUP_TOO_LARGE', "the archive has $bytes bytes; the most is " . BYTES_MAX);
}
$sum = hash_file('sha256', $path);
$curl = address('put-address');
curl_setopt_array($curl, [
    CURLOPT_UPLOAD => true,
    CURLOPT_INFILE => fopen($path, 'rb'),
    CURLOPT_INFILESIZE => $bytes,
    CURLOPT_HTTPHEADER => ['Expect:'],
    CURLOPT_RETURNTRANSFER => true,
]);
judge($curl, 'PUT', (string) curl_exec($curl));
[$found, $digest] = get(null);
if ($found !== $bytes || $digest !== $sum) {
    fail('BACKUP_DAMAGED', "read back it has $found bytes with SHA-256 $digest, not $bytes with $sum");
}
file_put_contents('/dev/termination-log', "OK $bytes $sum");
