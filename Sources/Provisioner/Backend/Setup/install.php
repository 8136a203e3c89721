<?php
// Makes WordPress' tables, title, administrator and permalinks. May run any number of times: all but
// the tables is one transaction, so where an earlier run was cut off nothing is in them, and prepare.php
// has removed them. $given, set before: title, user, password, mail.

// WordPress lets it be replaced: no mail is sent.
function wp_new_blog_notification(...$ignored): void
{
}

define('WP_INSTALLING', true);
require $setup['rootPath'] . '/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

lockSetup();
$wpdb->suppress_errors();
// A connection made anew half-way would leave the transaction, and write the rest without the first half.
$wpdb->reconnect_retries = 0;
if (!is_blog_installed()) {
    // The tables are made before it; making one would commit.
    add_action('populate_options', fn() => $wpdb->query('START TRANSACTION'));
    // Otherwise it would ask itself over the network whether the server rewrites addresses, which it does.
    $structure = fn() => '/%postname%/';
    add_filter('pre_option_permalink_structure', $structure);
    ob_start();
    wp_install($given['title'], $given['user'], $given['mail'], true, '', $given['password']);
    ob_end_clean();
    remove_filter('pre_option_permalink_structure', $structure);
} elseif (!get_option($wpdb->get_blog_prefix() . 'user_roles')) {
    // Cut off when it was no transaction yet.
    populate_options();
    populate_roles();
    wp_roles()->for_site();
}
$wpdb->suppress_errors(false);
if (!is_blog_installed()) {
    fail('SETUP_FAILED', 'WordPress did not install itself: ' . $wpdb->last_error);
}

$user = get_user_by('login', $given['user']);
if (!$user) {
    $id = wp_create_user($given['user'], $given['password'], $given['mail']);
    if (is_wp_error($id)) {
        fail('SETUP_FAILED', 'the administrator cannot be made: ' . $id->get_error_message());
    }
    $user = get_user_by('id', $id);
}
if (!in_array('administrator', $user->roles, true)) {
    $user->set_role('administrator');
}
if (!wp_check_password($given['password'], $user->user_pass, $user->ID)) {
    wp_set_password($given['password'], $user->ID);
}

update_option('blogname', $given['title']);
if ($given['mail'] !== '') {
    update_option('admin_email', $given['mail']);
}
if (get_option('permalink_structure') === '') {
    $wp_rewrite->set_permalink_structure('/%postname%/');
}
// Soft: the rules are in Apache's site.
flush_rewrite_rules(false);
if ($wpdb->query('COMMIT') === false) {
    fail('SETUP_INTERRUPTED', "the database did not take what WordPress installed: $wpdb->last_error");
}
finish();
