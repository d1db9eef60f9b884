# fish completion for bsockd(8)

complete -c bsockd -f
complete -c bsockd -s c -l config -r -F -d 'The configuration file'
complete -c bsockd -s t -l test -d 'Only say whether the configuration is right'
complete -c bsockd -l dump-config -d 'Only print the effective configuration'
complete -c bsockd -l plan -r -F -d 'Only print what a reload with this file would change'
complete -c bsockd -l listen -x -d 'Listen there instead'
complete -c bsockd -l takeover -r -F -d 'Take the sockets over from the daemon that serves this socket'
complete -c bsockd -l log-level -x -a 'trace debug info warn error' -d 'The least important messages that are written'
complete -c bsockd -l io -x -a 'auto io_uring epoll' -d 'How to do input and output'
complete -c bsockd -l print-addresses -d 'Print the address of each listener'
complete -c bsockd -s h -l help -d 'Show help'
complete -c bsockd -l version -d 'Show the version'
