#!/usr/bin/env bash
# The whole workflow in one allocation, without a queue entry a job. In the checkout:
#   sbatch --cpus-per-task=32 --time=12:00:00 profiles/slurm/allocation.sh [snakemake arguments]
# Targets stand before options. Shortly before the time limit, or told to by
#   scancel --signal=USR1 --batch JOBID
# it stops cleanly and queues itself again; what is finished stays, and long trainings go on
# from their checkpoints. docs/cluster.md says more.
#SBATCH --job-name=grokscope
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=1500M
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-grokscope-%j.log

# Job control: without it a background process ignores SIGINT.
set -um

: "${SLURM_JOB_ID:?start this script with sbatch}"
# The environment that make builds, if it is there. SLURM starts the script in the checkout.
export PATH="$PWD/.venv/bin:$PATH"

snakemake "$@" --cores "$SLURM_CPUS_ON_NODE" &
pid=$!
again=no
watch=

# Snakemake stops more surely on SIGINT than on SIGTERM. What it leaves unfinished, also if it
# has to be killed, the next call does again.
stop() {
    [ -z "$watch" ] || return
    kill -INT "$pid" 2>/dev/null
    (sleep 60 && kill -KILL "$pid") &
    watch=$!
    # So that the shell says nothing of its end.
    disown
}
trap 'again=yes; stop' USR1
trap stop TERM INT

# A signal ends wait, not Snakemake.
while wait "$pid"; status=$?; kill -0 "$pid" 2>/dev/null; do :; done
[ -z "$watch" ] || kill -- "-$watch" 2>/dev/null

if [ "$status" -ne 0 ] && [ "$again" = yes ]; then
    echo "Out of time: job $SLURM_JOB_ID is queued again."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
