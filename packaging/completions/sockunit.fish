# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_sockunit_global_optspecs
    string join \n h/help V/version
end

function __fish_sockunit_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_sockunit_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_sockunit_using_subcommand
    set -l cmd (__fish_sockunit_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c sockunit -n "__fish_sockunit_needs_command" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_needs_command" -s V -l version -d 'Print version'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "add" -d 'Attach a program to a port'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "check" -d 'Find out whether a name and a port are free, and who has them'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "connect" -d 'Talk to a service, and end when it does'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "doctor" -d 'Say why a service does not work: the first fault, what shows it and what mends it'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "list" -d 'Say what is attached, where, and how many connections there are'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "remove" -d 'Take away what add has attached'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "serve" -d 'Serve listening sockets, and start a program for each connection'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "services" -d 'Add or remove the line of a service in /etc/services'
complete -c sockunit -n "__fish_sockunit_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l listen -d 'Listen on this address; repeatable. * is every address [default: 127.0.0.1 and ::1]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l user-name -d 'Run the program as this user [default: one that systemd makes up for the service]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l sandbox -d 'What is taken away from the program' -r -f -a "strict\t'No homes, devices, network of its own, other processes or place to write'
standard\t'No way to gain privileges, and limits; files and network as the user may'
off\t'Nothing is taken away'"
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l max-connections -d 'Serve at most this many connections at once' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l per-source -d 'Serve at most this many connections of one address' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l shared -d 'One process that serves all connections, and not a unit for each'
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l enable -d 'Start it at every boot as well'
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l dry-run -d 'Print what would be written, file by file, and change nothing'
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -l user -d 'Work on your own service manager; with --root, on the units for all users of that system'
complete -c sockunit -n "__fish_sockunit_using_subcommand add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sockunit -n "__fish_sockunit_using_subcommand check" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand check" -l user -d 'Work on your own service manager; with --root, on the units for all users of that system'
complete -c sockunit -n "__fish_sockunit_using_subcommand check" -l json -d 'Print one object of JSON'
complete -c sockunit -n "__fish_sockunit_using_subcommand check" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand connect" -l until -d 'End when the server has sent a line that is this word' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand connect" -l timeout -d 'Give up connecting after this long' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand connect" -l idle-timeout -d 'Give up when neither side has said anything for this long' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand connect" -l crlf -d 'Send CR LF at the end of each line'
complete -c sockunit -n "__fish_sockunit_using_subcommand connect" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand doctor" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand doctor" -l user -d 'Work on your own service manager; with --root, on the units for all users of that system'
complete -c sockunit -n "__fish_sockunit_using_subcommand doctor" -l json -d 'Print one object of JSON'
complete -c sockunit -n "__fish_sockunit_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand list" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand list" -l user -d 'Work on your own service manager; with --root, on the units for all users of that system'
complete -c sockunit -n "__fish_sockunit_using_subcommand list" -l json -d 'Print a list in JSON'
complete -c sockunit -n "__fish_sockunit_using_subcommand list" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand remove" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand remove" -l force -d 'Remove the units also where somebody has changed them'
complete -c sockunit -n "__fish_sockunit_using_subcommand remove" -l user -d 'Work on your own service manager; with --root, on the units for all users of that system'
complete -c sockunit -n "__fish_sockunit_using_subcommand remove" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l name -d 'Log under this name [default: the file name of the program]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l rate -d 'Accept at most N new connections per second, or per DURATION (100/1min); see --when-full [default: no limit]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l rate-pause -d 'Accept no connection for this long once --rate is reached, if that is longer than until the end of its DURATION' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l max-load -d 'Accept no connection while the load average of the last minute is higher; see --when-full [default: no limit]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l access-times -d 'Refuse connections outside these times of day, in the local time zone; may be repeated [default: any time]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l allow -d 'Accept connections from this address or network only; may be repeated [default: accept all]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l deny -d 'Refuse connections from this address or network, even if allowed; may be repeated' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l message -d 'Send TEXT to clients that are refused because of full, source, rate, load, hours, address or failure, instead of the default message; nothing if TEXT is empty' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l refused-banner -d 'Send this file to refused clients, before the message' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l banner -d 'Send this file to clients before the program starts' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l idle-timeout -d 'Stop the program if no byte was sent or received for this long [default: never]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l time-limit -d 'Stop the program after this long [default: never]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l grace -d 'Wait this long for the program to exit after the client disconnects, then send SIGTERM and, after the same time again, SIGKILL' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l listen -d 'Listen on this address, or on an AF_UNIX socket at this path (it contains a slash), instead of sockets passed by systemd; may be repeated' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l per-source -d 'Refuse a connection if its remote address (for IPv6: its /64 network) has N connections already [default: no limit]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l when-full -d 'Choose what happens to new connections at the limit on connections, rate or load' -r -f -a "wait\t'Let them wait in the backlog'
refuse\t'Refuse them with a message'"
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l exit-idle-time -d 'Exit if there was no connection for this long; systemd starts the service again for the next one [default: never]' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l stop-timeout -d 'On SIGTERM, wait this long for open sessions to end, then end them' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -l max-connections -d 'Serve at most N connections at the same time; see --when-full' -r
complete -c sockunit -n "__fish_sockunit_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and not __fish_seen_subcommand_from add remove help" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and not __fish_seen_subcommand_from add remove help" -f -a "add" -d 'Add the line, unless the name or the port is taken'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and not __fish_seen_subcommand_from add remove help" -f -a "remove" -d 'Take the line away, unless somebody changed it'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and not __fish_seen_subcommand_from add remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from add" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from add" -l dry-run -d 'Say what would be done, and do nothing'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from remove" -l root -d 'Work on the system in this directory' -r -F
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from remove" -l dry-run -d 'Say what would be done, and do nothing'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from help" -f -a "add" -d 'Add the line, unless the name or the port is taken'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Take the line away, unless somebody changed it'
complete -c sockunit -n "__fish_sockunit_using_subcommand services; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "add" -d 'Attach a program to a port'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "check" -d 'Find out whether a name and a port are free, and who has them'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "connect" -d 'Talk to a service, and end when it does'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "doctor" -d 'Say why a service does not work: the first fault, what shows it and what mends it'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "list" -d 'Say what is attached, where, and how many connections there are'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "remove" -d 'Take away what add has attached'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "serve" -d 'Serve listening sockets, and start a program for each connection'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "services" -d 'Add or remove the line of a service in /etc/services'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and not __fish_seen_subcommand_from add check connect doctor list remove serve services help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and __fish_seen_subcommand_from services" -f -a "add" -d 'Add the line, unless the name or the port is taken'
complete -c sockunit -n "__fish_sockunit_using_subcommand help; and __fish_seen_subcommand_from services" -f -a "remove" -d 'Take the line away, unless somebody changed it'
