# Lays out WordPress before it starts: the core from the image, each time; themes and plugins onto
# the volume, once. Reads SOURCE (the image's copy), CORE and CONTENT (empty folders or volumes).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$SOURCE"
for item in .htaccess *; do
  case $item in
    wp-content) mkdir -p "$CORE/wp-content" ;;
    *) [ ! -e "$item" ] || cp -R "$item" "$CORE/" ;;
  esac
done
# All it needs comes from the environment.
cp "$SOURCE/wp-config-docker.php" "$CORE/wp-config.php"
cp "$here/health.php" "$CORE/storeplane-health.php"

# What a restore unpacked that did not come to its end; while one is at work no pod starts.
rm -rf "$CONTENT/.storeplane-restore"

# A volume with content of its own stays as it is; a copy cut short is made again.
unfinished=$CONTENT/.storeplane-unfinished
found=$(find "$CONTENT" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit)
if [ -e "$unfinished" ] || [ -z "$found" ]; then
  touch "$unfinished"
  cp -R "$SOURCE/wp-content/." "$CONTENT/"
  rm "$unfinished"
fi
