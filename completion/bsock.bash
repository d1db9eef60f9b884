# bash completion for bsock(1)

_bsock() {
  local cur prev words cword split
  _init_completion -s -n : || return
  case $prev in
    --framing | --reply-framing)
      COMPREPLY=($(compgen -W 'line raw netstring varint' -- "$cur"))
      return
      ;;
    --timeout)
      COMPREPLY=($(compgen -W '200ms 2s 10s 1m' -- "$cur"))
      return
      ;;
    --retries)
      COMPREPLY=($(compgen -W '0 1 2 5' -- "$cur"))
      return
      ;;
  esac
  case $cur in
    -*)
      COMPREPLY=($(compgen -W '--once --framing --reply-framing --hex --timeout --retries --dump --hexdump
        -h --help --version' -- "$cur"))
      ;;
    unix:@* | unixgram:@*) ;;
    unix:* | unixgram:*)
      # A colon separates words in bash, so what is completed is what stands behind it.
      cur=${cur#*:}
      _filedir
      ;;
    *)
      [[ $cword -eq 1 ]] && COMPREPLY=($(compgen -W 'send' -- "$cur"))
      _known_hosts_real -- "$cur"
      ;;
  esac
} && complete -F _bsock bsock
