# shellcheck shell=sh
# Prints the names of the services that "sockunit add" attached: the first line of their socket units says so.
# Arguments: the words of the command line. No single quote may stand here, because each shell runs this as sh -c.
root="" user=""
case " $* " in *" remove "*) ;; *) printf "hello\ncelebs\n" ;; esac
while [ $# -gt 0 ]; do
    case $1 in
    --root) root=${2-} ;;
    --root=*) root=${1#--root=} ;;
    --user) user=yes ;;
    esac
    shift
done
root=${root%/}
units=$root/etc/systemd/${user:+user}
[ -n "$user" ] || units=${units}system
[ -n "$root" ] || [ -z "$user" ] || units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
for socket in "$units"/*.socket; do
    line=
    { read -r line <"$socket"; } 2>/dev/null
    case $line in "# Made by sockunit "*) ;; *) continue ;; esac
    name=${socket##*/}
    name=${name%.socket}
    case $name in *[!A-Za-z0-9._+-]*) ;; *) echo "$name" ;; esac
done
