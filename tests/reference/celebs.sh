#!/bin/bash
# celebs as a tutorial on xinetd would write it: the plain reference that the program is compared with.
# Its flaws stay, because tests/booted/reference.rs lists them. shellcheck must not report them:
# shellcheck disable=SC2086,SC2162
while true; do
    echo "Please type Linux celebs name below:"
    read name
    echo -n ":"
    echo -n $name
    echo ", "
    case $name in
    richard) echo stallman ;;
    linus) echo torvalds ;;
    maddog) echo hall ;;
    q*)
        echo
        echo Finished
        exit 0
        ;;
    *) echo "Unknown celeb" ;;
    esac
done
