# bash completion for bsockd(8)

_bsockd() {
  local cur prev words cword split
  _init_completion -s -n : || return
  case $prev in
    -c | --config | --plan)
      _filedir '@(yaml|yml)'
      return
      ;;
    --takeover)
      _filedir
      return
      ;;
    --log-level)
      COMPREPLY=($(compgen -W 'trace debug info warn error' -- "$cur"))
      return
      ;;
    --io)
      COMPREPLY=($(compgen -W 'auto io_uring epoll' -- "$cur"))
      return
      ;;
    --listen)
      return
      ;;
  esac
  COMPREPLY=($(compgen -W '-c --config -t --test --dump-config --plan --listen --takeover --log-level
    --io --print-addresses -h --help --version' -- "$cur"))
} && complete -F _bsockd bsockd
