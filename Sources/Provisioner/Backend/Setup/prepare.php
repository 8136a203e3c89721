<?php
// Removes what an installation left that was cut off while it made its tables: WordPress does not
// start over such tables. Only empty ones go.

define('SHORTINIT', true);
require $setup['rootPath'] . '/wp-load.php';

if (!$wpdb->check_connection(false)) {
    fail('SETUP_INTERRUPTED', 'the database does not answer');
}
lockSetup();
$wpdb->suppress_errors();

/** A query that failed has no rows either, which is no reason to take anything for empty. */
function requireAnswer(string $what): void
{
    global $wpdb;
    if ($wpdb->last_error !== '') {
        fail('SETUP_INTERRUPTED', "the database does not say $what: $wpdb->last_error");
    }
}

$tables = $wpdb->get_col($wpdb->prepare('SHOW TABLES LIKE %s', $wpdb->esc_like($table_prefix) . '%'));
requireAnswer('which tables there are');
$isBegun = false;
if (in_array($wpdb->options, $tables, true)) {
    $isBegun = $wpdb->get_var("SELECT 1 FROM $wpdb->options WHERE option_name = 'siteurl'") === '1';
    requireAnswer('whether there is a site');
}
if (!$isBegun) {
    // Looked at before any goes: all or none.
    foreach ($tables as $table) {
        $row = $wpdb->get_var("SELECT 1 FROM `$table` LIMIT 1");
        requireAnswer("whether table $table has rows");
        if ($row !== null) {
            fail('SETUP_FAILED', "the database is not WordPress' own: it has no site, and rows in table $table");
        }
    }
    foreach ($tables as $table) {
        $wpdb->query("DROP TABLE `$table`");
        requireAnswer("that table $table is gone");
    }
}
finish();
