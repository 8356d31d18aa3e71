# Where the scripts of these folders keep what they make; they source this file.

# data_folder SCRIPTS: data/ beside them, or, where a package put them, a folder of this machine's or of the user's.
data_folder() {
    case "$1" in
        /usr/*) ;;
        *) echo "$1/data"; return ;;
    esac
    if [ "$(id -u)" = 0 ]; then place=/var/lib; else place=${XDG_DATA_HOME:-$HOME/.local/share}; fi
    echo "$place/lcp-$(basename "$1")-broker"
}
