<?php
// Stands before each program of the set-up. A program that ends before finish() has failed, whatever
// it ended with: WordPress dies with a success.

const REASON_BYTES_MAX = 500;

function fail(string $code, string $message): never
{
    while (ob_get_level() > 0) {
        ob_end_clean();
    }
    echo "\nstoreplane-failure ", json_encode([$code, $message], JSON_INVALID_UTF8_SUBSTITUTE), "\n";
    exit(1);
}

function finish(): never
{
    define('STOREPLANE_FINISHED', true);
    exit(0);
}

function isDatabaseThere(): bool
{
    global $wpdb;
    // Null where it was not there to begin with.
    $connection = $wpdb?->dbh;
    return $connection instanceof mysqli && @mysqli_ping($connection);
}

function whenWordPressDies(mixed $message): never
{
    $text = is_wp_error($message) ? $message->get_error_message() : (string) $message;
    $reason = trim(strip_tags($text));
    if (strlen($reason) > REASON_BYTES_MAX) {
        // To the end of a word: who looks for secrets in it would not know half of one.
        $reason = preg_replace('/\S*\z/', '', substr($reason, 0, REASON_BYTES_MAX)) . '...';
    }
    fail(isDatabaseThere() ? 'SETUP_FAILED' : 'SETUP_INTERRUPTED', "WordPress gave up: $reason");
}

file_put_contents('/tmp/storeplane-setup.pid', getmypid());
register_shutdown_function(function (): void {
    @unlink('/tmp/storeplane-setup.pid');
    if (!defined('STOREPLANE_FINISHED')) {
        exit(1);
    }
});
if (file_exists('/tmp/storeplane-setup.' . getenv('STOREPLANE_RUN') . '.stop')) {
    fail('SETUP_INTERRUPTED', 'the set-up was told to stop');
}
$wp_filter = ['wp_die_handler' => [10 => [['function' => fn() => 'whenWordPressDies', 'accepted_args' => 1]]]];

$setup = json_decode((string) file_get_contents('/etc/storeplane/setup/setup.json'), true);
if (!is_array($setup)) {
    fail('SETUP_FAILED', '/etc/storeplane/setup/setup.json is no JSON object');
}
$url = parse_url($setup['url']);
$_SERVER['HTTP_HOST'] = $url['host'] . (isset($url['port']) ? ":{$url['port']}" : '');
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
if ($url['scheme'] === 'https') {
    $_SERVER['HTTPS'] = 'on';
}

/** One set-up at a time, whichever pod it runs in: the lock goes with the connection. */
function lockSetup(): void
{
    global $wpdb;
    if ($wpdb->get_var("SELECT GET_LOCK('storeplane-setup', 60)") !== '1') {
        fail('SETUP_INTERRUPTED', 'an earlier set-up of the store has not ended yet');
    }
}
