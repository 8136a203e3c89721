<?php
// Runs WordPress' due work by asking for wp-cron.php, as a visitor's request would.
// Reads WP_CRON_URL, STORE_HOST and STORE_SCHEME.

$context = stream_context_create(['http' => [
    'header' => 'Host: ' . getenv('STORE_HOST') . "\r\nX-Forwarded-Proto: " . getenv('STORE_SCHEME'),
    'timeout' => 240,
    'follow_location' => 0,
    'ignore_errors' => true,
]]);
if (@file_get_contents(getenv('WP_CRON_URL'), false, $context) === false) {
    fwrite(STDERR, "wp-cron.php could not be reached\n");
    exit(1);
}
$status = explode(' ', $http_response_header[0])[1] ?? '000';
// Before the shop is installed it redirects, and nothing is due.
if ($status !== '200' && $status !== '302') {
    fwrite(STDERR, "wp-cron.php answered $status\n");
    exit(1);
}
