<?php
// WordPress's configuration from the environment. Each variable may also be given as NAME_FILE,
// the path of a file that holds the value.

if (!function_exists('getenv_docker')) {
    // The name is the official image's, since WORDPRESS_CONFIG_EXTRA may call it.
    function getenv_docker($name, $default)
    {
        $file = getenv($name . '_FILE');
        if ($file !== false) {
            return rtrim(file_get_contents($file), "\r\n");
        }
        $value = getenv($name);
        return $value === false ? $default : $value;
    }
}

define('DB_NAME', getenv_docker('WORDPRESS_DB_NAME', 'wordpress'));
define('DB_USER', getenv_docker('WORDPRESS_DB_USER', 'wordpress'));
define('DB_PASSWORD', getenv_docker('WORDPRESS_DB_PASSWORD', ''));
define('DB_HOST', getenv_docker('WORDPRESS_DB_HOST', 'mysql'));
define('DB_CHARSET', getenv_docker('WORDPRESS_DB_CHARSET', 'utf8mb4'));
define('DB_COLLATE', getenv_docker('WORDPRESS_DB_COLLATE', ''));
$table_prefix = getenv_docker('WORDPRESS_TABLE_PREFIX', 'wp_');

define('AUTH_KEY', getenv_docker('WORDPRESS_AUTH_KEY', '@RANDOM@'));
define('SECURE_AUTH_KEY', getenv_docker('WORDPRESS_SECURE_AUTH_KEY', '@RANDOM@'));
define('LOGGED_IN_KEY', getenv_docker('WORDPRESS_LOGGED_IN_KEY', '@RANDOM@'));
define('NONCE_KEY', getenv_docker('WORDPRESS_NONCE_KEY', '@RANDOM@'));
define('AUTH_SALT', getenv_docker('WORDPRESS_AUTH_SALT', '@RANDOM@'));
define('SECURE_AUTH_SALT', getenv_docker('WORDPRESS_SECURE_AUTH_SALT', '@RANDOM@'));
define('LOGGED_IN_SALT', getenv_docker('WORDPRESS_LOGGED_IN_SALT', '@RANDOM@'));
define('NONCE_SALT', getenv_docker('WORDPRESS_NONCE_SALT', '@RANDOM@'));

define('WP_DEBUG', (bool) getenv_docker('WORDPRESS_DEBUG', ''));

// TLS ends at the ingress.
if (str_contains($_SERVER['HTTP_X_FORWARDED_PROTO'] ?? '', 'https')) {
    $_SERVER['HTTPS'] = 'on';
}

$extra = getenv_docker('WORDPRESS_CONFIG_EXTRA', '');
if ($extra) {
    eval($extra);
}

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
