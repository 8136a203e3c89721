<?php
// Installs and activates the plugins that setup.json lists. May run any number of times: what is
// installed stays as it is.

const ARCHIVE_BYTES_MAX = 200 * 1024 * 1024;
const DOWNLOAD_SECONDS_MAX = 150;

require $setup['rootPath'] . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/file.php';
require_once ABSPATH . 'wp-admin/includes/plugin.php';

lockSetup();
if (!WP_Filesystem()) {
    fail('SETUP_FAILED', 'WordPress cannot write to its own files');
}

/** The plugin's file with its header, such as tea/tea.php; null where it is not installed. */
function mainFile(string $slug): ?string
{
    wp_cache_delete('plugins', 'plugins');
    $found = is_dir(WP_PLUGIN_DIR . "/$slug") ? array_key_first(get_plugins("/$slug")) : null;
    return $found === null ? null : "$slug/$found";
}

/** The path of the archive, for the folder to take it. */
function archive(string $slug, string $source, string $folder): string
{
    if (str_starts_with($source, 'file://')) {
        $path = substr($source, strlen('file://'));
        if (!is_file($path) || !is_readable($path)) {
            fail('PLUGIN_UNAVAILABLE', "plugin $slug: the pod has no file $path");
        }
        return $path;
    }
    $path = "$folder/$slug.zip";
    $answer = wp_remote_get($source, [
        'timeout' => DOWNLOAD_SECONDS_MAX,
        'stream' => true,
        'filename' => $path,
        'limit_response_size' => ARCHIVE_BYTES_MAX,
    ]);
    if (is_wp_error($answer)) {
        fail('PLUGIN_UNAVAILABLE', "plugin $slug cannot be downloaded from $source: " . $answer->get_error_message());
    }
    $status = wp_remote_retrieve_response_code($answer);
    if ($status !== 200) {
        fail('PLUGIN_UNAVAILABLE', "plugin $slug cannot be downloaded from $source: the server answered $status");
    }
    if (filesize($path) >= ARCHIVE_BYTES_MAX) {
        fail('PLUGIN_UNAVAILABLE', "plugin $slug: $source is larger than " . ARCHIVE_BYTES_MAX . ' bytes');
    }
    return $path;
}

function install(string $slug, string $source): void
{
    global $wp_filesystem;
    $folder = WP_CONTENT_DIR . "/upgrade/storeplane-$slug";
    // What a run that was cut off left behind.
    $wp_filesystem->delete($folder, true);
    if (!wp_mkdir_p("$folder/content")) {
        fail('SETUP_FAILED', "$folder cannot be made");
    }
    $unpacked = unzip_file(archive($slug, $source, $folder), "$folder/content");
    if (is_wp_error($unpacked)) {
        fail('PLUGIN_UNAVAILABLE', "plugin $slug: $source is no archive that can be unpacked: " . $unpacked->get_error_message());
    }
    $entries = array_values(array_diff(scandir("$folder/content"), ['.', '..', '__MACOSX']));
    $top = "$folder/content" . (count($entries) === 1 && is_dir("$folder/content/$entries[0]") ? "/$entries[0]" : '');
    // The name appears with all that belongs to it, or not at all.
    $wp_filesystem->delete(WP_PLUGIN_DIR . "/$slug", true);
    if (!rename($top, WP_PLUGIN_DIR . "/$slug")) {
        fail('SETUP_FAILED', "plugin $slug cannot be moved to its place");
    }
    $wp_filesystem->delete($folder, true);
}

foreach ($setup['plugins'] as $plugin) {
    $slug = $plugin['slug'];
    if (!preg_match('/\A[A-Za-z0-9][A-Za-z0-9_-]*\z/', $slug)) {
        fail('SETUP_FAILED', "a plugin's slug is not letters, digits, hyphens and underscores");
    }
    if (mainFile($slug) === null) {
        install($slug, $plugin['source']);
    }
    $main = mainFile($slug);
    if ($main === null) {
        fail('PLUGIN_UNAVAILABLE', "plugin $slug: {$plugin['source']} is no WordPress plugin");
    }
    if (($plugin['activate'] ?? true) && !is_plugin_active($main)) {
        ob_start();
        $activated = activate_plugin($main);
        ob_end_clean();
        if (is_wp_error($activated)) {
            fail('SETUP_FAILED', "plugin $slug cannot be activated: " . $activated->get_error_message());
        }
    }
}
finish();
