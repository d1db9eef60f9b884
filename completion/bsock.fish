# fish completion for bsock(1)

complete -c bsock -f
complete -c bsock -n __fish_use_subcommand -a send -d 'For scripts: nothing but the replies'
complete -c bsock -a '(__fish_print_hostnames)'
complete -c bsock -l once -d 'Stop after one line'
complete -c bsock -l framing -x -a 'line raw netstring varint' -d 'How messages are framed'
complete -c bsock -l reply-framing -x -a 'line raw netstring varint' -d 'How replies are framed'
complete -c bsock -l hex -d 'Messages and replies are hex digits'
complete -c bsock -l timeout -x -a '200ms 2s 10s 1m' -d 'For connecting and for each reply'
complete -c bsock -l retries -x -d 'How often a datagram is sent again'
complete -c bsock -l dump -d 'Show every buffer'
complete -c bsock -l hexdump -d 'Show every buffer as hexdump -C does'
complete -c bsock -s h -l help -d 'Show help'
complete -c bsock -l version -d 'Show the version'
