# shellcheck shell=bash
# Functions that examine this machine for launch/mpirun: cores, networks, temporary files, settings and programs.

# Prints the processors that this process may use, as a list such as 0-3,8.
allowed_processors() {
    sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status 2>/dev/null
}

# control_groups CONTROLLER: prints the folders of this process's control groups, those above them first.
control_groups() {
    local number controllers path folder name names
    while IFS=: read -r number controllers path; do
        case $number:,$controllers, in
        0:,,) folder=/sys/fs/cgroup ;;
        *",$1,"*) folder=/sys/fs/cgroup/$1 ;;
        *) continue ;;
        esac
        IFS=/ read -ra names <<<"$path"
        for name in '' "${names[@]}"; do
            folder+=${name:+/$name}
            printf '%s\n' "$folder"
        done
    done < <(cat /proc/self/cgroup 2>/dev/null)
}

# Prints the CPU quota of this process's control groups, its own and those above, in whole cores; prints
# nothing if there is no limit.
quota_cores() {
    local folder limit period least=''
    while IFS= read -r folder; do
        limit='' period=''
        if [[ -r $folder/cpu.max ]]; then
            read -r limit period <"$folder/cpu.max" || true
        elif [[ -r $folder/cpu.cfs_quota_us && -r $folder/cpu.cfs_period_us ]]; then
            limit=$(<"$folder/cpu.cfs_quota_us") period=$(<"$folder/cpu.cfs_period_us")
        fi
        # "max" and -1 stand for no limit.
        [[ $limit =~ ^[1-9][0-9]*$ && $period =~ ^[1-9][0-9]*$ ]] || continue
        limit=$((limit < period ? 1 : limit / period))
        [[ -n $least ]] && ((least <= limit)) || least=$limit
    done < <(control_groups cpu)
    printf '%s' "$least"
}

# Prints the GiB of memory that are available to this process; prints nothing if they are unknown.
available_memory() {
    local folder limit least file
    least=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null) || least=''
    while IFS= read -r folder; do
        for file in "$folder"/memory.{max,limit_in_bytes}; do
            [[ -r $file ]] || continue
            limit=$(<"$file")
            [[ $limit =~ ^[1-9][0-9]*$ ]] || continue
            limit=$((limit >> 30))
            [[ -n $least ]] && ((least <= limit)) || least=$limit
        done
    done < <(control_groups memory)
    printf '%s' "$least"
}

# Sets `cores` to the number of physical cores that this process may use, and `cores_limit` to a clause about
# why they are fewer than the machine's processors, or to nothing.
# shellcheck disable=SC2034
count_cores() {
    local physical usable quota
    cores_limit=''
    physical=$(lscpu -p=CPU,SOCKET,CORE 2>/dev/null | awk -F, -v allowed="$(allowed_processors)" '
        BEGIN {
            count = split(allowed, parts, ",")
            for (i = 1; i <= count; i++) {
                last = split(parts[i], ends, "-")
                for (cpu = ends[1] + 0; cpu <= ends[last] + 0; cpu++) may[cpu]
            }
        }
        !/^#/ && ($1 + 0 in may) && !(($2, $3) in seen) { seen[$2, $3]; cores++ }
        END { print cores + 0 }') || physical=0
    # nproc would take OpenMP's limits, which many profiles set, for the machine's.
    usable=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)
    cores=$usable
    if ((physical > 0 && physical < cores)); then
        cores=$physical cores_limit=" ($usable hardware threads)"
    fi
    quota=$(quota_cores)
    if [[ -n $quota ]] && ((quota < cores)); then
        cores_limit=" (the CPU quota of a control group allows $quota of $cores)" cores=$quota
    fi
}

# cores_by_group: prints the number of physical cores that this process may use in each group that shares
# memory and the last-level cache, one per line.
cores_by_group() {
    lscpu -p=CPU,SOCKET,CORE,NODE,CACHE 2>/dev/null | awk -F, -v allowed="$(allowed_processors)" '
        BEGIN {
            count = split(allowed, parts, ",")
            for (i = 1; i <= count; i++) {
                last = split(parts[i], ends, "-")
                for (cpu = ends[1] + 0; cpu <= ends[last] + 0; cpu++) may[cpu]
            }
        }
        !/^#/ && ($1 + 0 in may) && !(($2, $3) in seen) {
            seen[$2, $3]
            last = split($5, caches, ":")
            groups[$4, caches[last]]++
        }
        END { for (group in groups) print groups[group] }'
}

# Sets `threads` to the threads of each rank for a machine with `cores` cores, and `reason` to a clause about
# why. On 16 cores, 4 ranks of 4 threads train faster than 16 of one: fewer ranks wait for one another and hold
# a model. On a few cores, one thread is best. The threads of a rank share a cache, and a rank has 2 GiB of
# memory.
# shellcheck disable=SC2034
choose_threads() {
    local size memory
    threads=1 reason='one rank for each core'
    if ((cores >= 16)); then
        threads=4 reason='few ranks wait for one another'
        while read -r size; do
            while ((size % threads || cores % threads)); do
                threads=$((threads / 2)) reason='the threads of a rank share a cache'
            done
        done < <(cores_by_group)
    fi
    memory=$(available_memory)
    while [[ -n $memory ]] && ((2 * cores / threads > (memory > 2 ? memory : 2) && cores % (2 * threads) == 0)); do
        threads=$((2 * threads)) reason="the $memory GiB of memory limit the ranks"
    done
}

# Succeeds if this process may use fewer cores than its control group, for example after taskset. Open MPI
# binds to cores of the group, so it could bind to others.
has_fewer_cores_than_its_group() {
    local mine group place
    mine=$(allowed_processors) || return 1
    group=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null) || group=''
    for place in "/sys/fs/cgroup${group%/}/cpuset.cpus.effective" /sys/fs/cgroup/cpuset.cpus.effective \
        /sys/fs/cgroup/cpuset/cpuset.effective_cpus \
        /sys/devices/system/cpu/online; do
        [[ -r $place ]] || continue
        [[ $(<"$place") != "$mine" ]]
        return
    done
    return 1
}

# Succeeds if one process may read another's memory, as Open MPI does to copy messages on a host. The function
# tries it, because containers forbid it in several ways.
reads_other_processes() {
    local scope=/proc/sys/kernel/yama/ptrace_scope
    if [[ -r $scope ]] && (($(<"$scope") >= 2 && EUID != 0)); then return 1; fi
    type -P perl >/dev/null || return 0
    perl -e '
        my $number = { x86_64 => 310, aarch64 => 270 }->{`uname -m` =~ s/\s//gr} or exit 0;
        my $parent = $$;
        my $source = "lockstep";
        my $target = "\0" x 8;
        my $local = pack("PQ", $target, 8);
        my $remote = pack("PQ", $source, 8);
        # As Open MPI does, allow any process to read this one, in case Yama requires that.
        syscall({ 310 => 157, 270 => 167 }->{$number}, 0x59616d61, -1, 0, 0, 0);
        my $child = fork() // exit 0;
        if (!$child) { exit(syscall($number, $parent, $local, 1, $remote, 1, 0) == 8 ? 0 : 1) }
        waitpid($child, 0);
        exit($? ? 1 : 0);' 2>/dev/null
}

# unused_networks HOST...: prints the interfaces that Open MPI must not use: loopback, and the networks of
# containers and virtual machines. These have the same address on many hosts, and Open MPI would wait
# forever for an answer on them. An interface that leads to one of the hosts is kept.
unused_networks() {
    local host address line words used=' ' list=(127.0.0.0/8)
    local usual=(docker0 virbr0 lxcbr0 lxdbr0 cni0 podman0)
    for host in "${@:1:8}"; do
        address=$(getent ahostsv4 "$host" 2>/dev/null | sed -n '1s/ .*//p') || continue
        line=$(ip -o route get "$address" 2>/dev/null) || continue
        [[ $line =~ \ dev\ ([^\ ]+) ]] && used+="${BASH_REMATCH[1]} "
    done
    for line in "${usual[@]}"; do [[ $used == *" $line "* ]] || list+=("$line"); done
    while read -ra words; do
        case ${words[1]} in
        docker* | br-* | virbr* | lxcbr* | lxdbr* | cni* | podman* | flannel* | cilium* | cali* | veth* | vnet*) ;;
        *) continue ;;
        esac
        [[ $used == *" ${words[1]} "* ]] && continue
        # On other hosts the same network may have a different name.
        list+=("${words[1]}" "${words[3]}")
    done < <(ip -o -4 address show 2>/dev/null)
    printf '%s\n' "${list[@]}" | sort -u | paste -sd ,
}

# first_interface LIST: prints the first of these interfaces that this machine has, or docker0.
first_interface() {
    local name
    for name in ${1//,/ } docker0; do
        [[ $name == */* || ! -e /sys/class/net/$name ]] || break
    done
    printf '%s' "$name"
}

# setting_files MPIRUN: prints the files in which users and administrators set Open MPI's settings.
setting_files() {
    printf '%s\n' "${HOME:-/}"/.{openmpi,prte,pmix}/mca-params.conf /etc/openmpi/openmpi-mca-params.conf \
        "$(dirname "$(dirname "$1")")/etc/openmpi-mca-params.conf"
}

# setting MPIRUN NAME: prints the value that the user gave an Open MPI setting, if any. Open MPI 5 passes settings
# of version 4's runtime on to its own, PRRTE, which has names of its own too.
setting() {
    local variable own=${2/#orte_/prte_}
    for variable in "OMPI_MCA_$2" "PRTE_MCA_$own"; do
        [[ -n ${!variable+set} ]] || continue
        printf '%s' "${!variable}"
        return
    done
    local file value=''
    while IFS= read -r file; do
        value=$(sed -n "s/^[[:space:]]*\($2\|$own\)[[:space:]]*=[[:space:]]*\(.*[^[:space:]]\)[[:space:]]*\$/\2/p" \
            "$file" 2>/dev/null | sed -n '$p') || true
        [[ -z $value ]] || break
    done < <(setting_files "$1")
    printf '%s' "$value"
}

# Fails unless Open MPI can write its temporary files: 4 MiB, and as much again for each rank's
# start. With less it may hang without a message.
check_temporary_files() {
    local folder=${TMPDIR:-${TEMP:-${TMP:-/tmp}}} probe reason
    # Open MPI creates a missing folder.
    [[ -e $folder ]] || return 0
    probe=$folder/lockstep-probe.$$
    if ! reason=$(exec 2>&1 && export LC_ALL=C && head -c 12582912 /dev/zero >"$probe"); then
        rm -f "$probe" 2>/dev/null || true
        fail 74 "$folder: Open MPI cannot write its temporary files there (${reason##*: }); free 12 MiB, or set TMPDIR to another folder."
    fi
    rm -f "$probe"
}

# Fails if a variable such as OMPI_MCA_pml names a component that Open MPI does not have. mpirun reports that
# too, but sometimes loses the message that names the component.
#
# usage: check_components MPIRUN
check_components() {
    local known framework value name
    compgen -e | grep -qE '^OMPI_MCA_[a-z]+$' || return 0
    known=$("$(dirname "$1")/ompi_info" --parsable 2>/dev/null |
        sed -n 's/^mca:\([a-z]*\):\([^:]*\):.*/\1 \2/p') || return 0
    while read -r framework; do
        value=OMPI_MCA_$framework
        value=${!value}
        # A list that begins with ^ names components to exclude.
        if [[ $value == ^* ]] || ! grep -q "^$framework " <<<"$known"; then continue; fi
        for name in ${value//,/ }; do
            grep -qxF "$framework $name" <<<"$known" ||
                fail 78 "OMPI_MCA_$framework: Open MPI has no component \"$name\"; correct or unset it."
        done
    done < <(compgen -e | sed -n 's/^OMPI_MCA_\([a-z]*\)$/\1/p')
}

# check_program PATH: fails if the file is marked executable but the kernel cannot execute it. Otherwise the
# shell that starts a rank on another host would run any text file as a script.
check_program() {
    local bytes own line words interpreter
    read -ra bytes < <(od -An -v -tx1 -w20 -N 20 "$1" 2>/dev/null) || true
    [[ -r $1 ]] || return 0
    case ${bytes[*]:0:4} in
    '7f 45 4c 46')
        read -ra own < <(od -An -v -tx1 -w20 -N 20 /proc/self/exe 2>/dev/null) || return 0
        # 64-bit kernels execute 32-bit programs of the same family.
        [[ ${bytes[*]:18:2} == "${own[*]:18:2}" || "${own[*]:18:2}/${bytes[*]:18:2}" == "3e 00/03 00" ||
            "${own[*]:18:2}/${bytes[*]:18:2}" == "b7 00/28 00" ]] || has_foreign_formats ||
            fail 66 "$1: is a program for another kind of processor; install one for $(uname -m)."
        ;;
    '23 21'*)
        IFS= read -r line <"$1" || true
        read -ra words <<<"${line#'#!'}"
        interpreter=${words[0]:-}
        if [[ ${interpreter##*/} == env && ${words[1]:--} != [-]* && ${words[1]} != *=* ]]; then
            interpreter=$(type -P -- "${words[1]}") || interpreter=${words[1]}
        fi
        [[ -n $interpreter && -f $interpreter && -x $interpreter ]] ||
            fail 66 "$1: its first line names the interpreter \"${interpreter//$'\r'/\\r}\", which is not a program; install it or correct the line."
        ;;
    *)
        has_foreign_formats ||
            fail 66 "$1: is executable but neither a program nor a script that begins with #!; give another command or add such a line."
        ;;
    esac
}

# Succeeds if the kernel executes additional formats, such as those that qemu-user registers.
has_foreign_formats() { compgen -G '/proc/sys/fs/binfmt_misc/*' | grep -qvE '/(register|status)$'; }
