# shellcheck shell=bash
# What launch/mpirun and launch/supervise share: closed streams, blocked signals, options and hostfiles. They
# set `self`, their own path, and source this file before anything else.

# The first process of a container ignores signals that it does not handle, so the traps come first.
# shellcheck disable=SC2154,SC2317
stop_early() {
    printf 'launch/%s: stopped before the ranks had started.\n' "${self##*/}" >&2 || true
    exit 75
}
trap stop_early TERM INT HUP USR1 ALRM
trap : USR2

# Otherwise the next file that is opened would take the number of a closed stream.
[[ -e /proc/self/fd/0 || ! -d /proc/self/fd ]] || exec </dev/null
[[ -e /proc/self/fd/1 || ! -d /proc/self/fd ]] || exec >/dev/null
[[ -e /proc/self/fd/2 || ! -d /proc/self/fd ]] || exec 2>/dev/null

# blocked_signals [COMMAND...]: the mask of blocked signals under which COMMAND starts a program.
blocked_signals() {
    "$@" sed -n 's/^SigBlk:[[:space:]]*/0x/p' /proc/self/status 2>/dev/null || true
}
# A process that waits for signals with sigwait, such as a scheduler, leaves them blocked in its children, and
# neither bash nor mpirun would receive a request. The bits are those of HUP, INT, USR1, USR2 and TERM.
unblocked=(env "--default-signal=HUP,INT,USR1,USR2,TERM")
requests=0x4a03
# shellcheck disable=SC2154
if (($(blocked_signals) + 0 & requests)) && after=$(blocked_signals "${unblocked[@]}") &&
    [[ -n $after ]] && ! ((after & requests)); then
    exec "${unblocked[@]}" "$self" "$@"
fi

# fail CODE SENTENCE: the codes are those of sysexits.h.
fail() {
    printf 'launch/%s: %s\n' "${self##*/}" "$2" >&2 || true
    exit "$1"
}

# number OPTION VALUE: VALUE, if it is a whole number from 1 to 99999.
number() {
    [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] ||
        fail 64 "$1 ${2:-\"\"}: must be a whole number from 1 to 99999; give one such as 2."
    printf '%s' "$2"
}

# read_hostfile FILE: sets `host_names`, `slots` (their sum, or 0 if a host does not state its slots) and
# `host_list` (the argument of --host).
read_hostfile() {
    local line number=0 all_known=1 word words own most name
    declare -A lines=()
    host_names=() slots=0 host_list=''
    while IFS= read -r line || [[ -n $line ]]; do
        number=$((number + 1))
        ((number > 1)) || line=${line#$'\xef\xbb\xbf'}
        read -ra words <<<"${line%%#*}"
        ((${#words[@]})) || continue
        own='' most='' name=${words[0]}
        for word in "${words[@]:1}"; do
            [[ $word =~ ^(slots|max_slots|max-slots)=([1-9][0-9]{0,4})$ ]] ||
                fail 65 "$1: line $number has \"$word\" instead of slots=N; write one host per line, such as \"node1 slots=4\"."
            if [[ ${BASH_REMATCH[1]} == slots ]]; then own=${BASH_REMATCH[2]}; else most=${BASH_REMATCH[2]}; fi
        done
        [[ -z $most ]] || ((most >= ${own:-1})) ||
            fail 65 "$1: line $number has max_slots=$most below slots=$own; raise or remove it."
        [[ -z ${lines[$name]:-} ]] ||
            fail 78 "$1: lines ${lines[$name]} and $number name the same host $name; give it one line with all its slots."
        [[ $name =~ ^[A-Za-z0-9_.@-]+$ ]] ||
            fail 65 "$1: line $number has the host \"$name\", which Open MPI cannot read; write a name or an IPv4 address."
        lines[$name]=$number
        host_names+=("$name") host_list+=${host_list:+,}$name${own:+:$own}
        [[ -n $own ]] || all_known=0
        slots=$((slots + ${own:-1}))
    done < <(tr -d '\r' <"$1")
    ((slots > 0)) || fail 65 "$1: names no host; write one per line, such as \"node1 slots=4\"."
    ((all_known)) || slots=0
}

# remote_hosts HOST...: prints the hosts that are not this machine.
remote_hosts() {
    local host own
    own=$(uname -n)
    for host in "$@"; do
        host=${host##*@}
        [[ $host == localhost || $host == 127.* || $host == ::1 || $host == "$own" || $host == "${own%%.*}" ]] ||
            printf '%s\n' "$host"
    done
}
