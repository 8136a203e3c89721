<?php
// Answers the kubelet's probes without loading WordPress, so it says the same before the shop is
// installed and whatever plugins do. With ?live the database is not asked.

function setting(string $name): string
{
    $file = getenv($name . '_FILE');
    if ($file !== false && $file !== '') {
        return rtrim((string) @file_get_contents($file), "\r\n");
    }
    return (string) getenv($name);
}

function databaseAnswers(): bool
{
    mysqli_report(MYSQLI_REPORT_OFF);
    [$host, $port] = array_pad(explode(':', setting('WORDPRESS_DB_HOST'), 2), 2, '3306');
    $database = mysqli_init();
    $database->options(MYSQLI_OPT_CONNECT_TIMEOUT, 2);
    return @$database->real_connect(
        $host,
        setting('WORDPRESS_DB_USER'),
        setting('WORDPRESS_DB_PASSWORD'),
        setting('WORDPRESS_DB_NAME'),
        (int) $port
    );
}

header('Content-Type: text/plain');
header('Cache-Control: no-store');
if (isset($_GET['live']) || databaseAnswers()) {
    echo "ok\n";
} else {
    http_response_code(503);
    echo "the database does not answer\n";
}
