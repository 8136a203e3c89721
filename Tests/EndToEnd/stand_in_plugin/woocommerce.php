<?php
/**
 * Plugin Name: Stand-in for WooCommerce
 * Description: Installed by the same path as WooCommerce, where that cannot be downloaded.
 * Version: 1.0
 */

add_action('wp_head', function () {
    echo '<meta name="generator" content="stand-in for WooCommerce">';
});
