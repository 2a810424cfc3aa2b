# shellcheck shell=bash
# Functions that read a Slurm allocation for launch/mpirun.

# is_elsewhere: whether a Slurm allocation has other nodes than this machine: several, or one if this is the
# shell of salloc on a login node.
is_elsewhere() {
    local own
    own=$(uname -n)
    [[ ${SLURM_JOB_NUM_NODES:-${SLURM_NNODES:-1}} =~ ^([2-9]|[1-9][0-9]+)$ ]] ||
        [[ -n ${SLURM_JOB_NODELIST:-} && -z ${SLURMD_NODENAME:-} && ${SLURM_JOB_NODELIST%%.*} != "${own%%.*}" ]]
}

# allocated NAME UNIT OPTION: prints the number in a variable of a Slurm allocation, or nothing if it is unset.
allocated() {
    [[ ${!1:-1} =~ ^[1-9][0-9]{0,4}$ ]] ||
        fail 78 "$1 = \"${!1}\": is not a number of $2 from 1 to 99999; give $3, or correct it."
    printf '%s' "${!1:-}"
}

# take_tasks: takes the ranks and threads that were not given from a Slurm allocation, and describes them in
# `taken`. It reads `cores`.
take_tasks() {
    local here=${SLURM_TASKS_PER_NODE:-}
    here=${here%%[^0-9]*}
    if [[ -z $ranks ]]; then
        ranks=$(allocated SLURM_NTASKS tasks --ranks)
        taken=${ranks:+ --ranks $ranks}
    fi
    [[ -z $threads ]] || return 0
    threads=$(allocated SLURM_CPUS_PER_TASK CPUs --threads)
    # Slurm may count the hardware threads of a core as CPUs.
    [[ ${SLURM_JOB_NUM_NODES:-1} != 1 && -n $here ]] || here=${ranks:-1}
    # shellcheck disable=SC2154
    if [[ -n $threads && -n ${SLURMD_NODENAME:-} ]] && ((threads * here > cores)); then
        threads=$((cores > here ? cores / here : 1))
    fi
    taken+=${threads:+ --threads $threads}
}
