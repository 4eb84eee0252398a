#!/usr/bin/env bash
# A real Slurm of three nodes, each with a network and a host name of its own: submit, train, requeue
# before the time limit, resume, and the digest of a local run.
source "$(dirname "$0")/common.sh"

bash -n "$ROOT/deploy/slurm/train.sbatch" || fail "train.sbatch is not bash"
[[ -n $INSTALL ]] || { ok "train.sbatch is bash"; skip "a cluster: make check-deploy"; exit 0; }
root "for network namespaces"
built
debian slurmctld slurmd sbatch munged ip -- slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge iproute2

source "$(dirname "$0")/hosts.sh"
hosts n1 n2 n3
export SLURM_CONF="$WORK/slurm.conf"
mkdir -m 700 "$WORK"/{munge,spool} "$WORK"/spool/n{1,2,3}
chmod 755 "$WORK"

head -c 1024 /dev/urandom >"$WORK/munge/key"
chmod 600 "$WORK/munge/key"
cat >"$SLURM_CONF" <<CONF
ClusterName=check
SlurmctldHost=head($GATEWAY)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$WORK/munge/socket
StateSaveLocation=$WORK/spool
SlurmdSpoolDir=$WORK/spool/%n
SlurmctldPidFile=$WORK/spool/ctld.pid
SlurmdPidFile=$WORK/spool/%n.pid
SlurmctldLogFile=$WORK/ctld.log
SlurmdLogFile=$WORK/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=10
SlurmdTimeout=300
$(for host in "${HOSTS[@]}"; do echo "NodeName=$host NodeAddr=$(address "$host") CPUs=2 State=UNKNOWN"; done)
PartitionName=check Nodes=n[1-3] Default=YES MaxTime=INFINITE State=UP
CONF

# Nothing is put into control groups here; slurmd looks for them all the same, and autodetection would fail.
echo CgroupPlugin=cgroup/v1 >"$WORK/cgroup.conf"

munged --foreground --force --num-threads 2 --socket "$WORK/munge/socket" --key-file "$WORK/munge/key" \
  --pid-file "$WORK/munge/pid" --log-file "$WORK/munge/log" --seed-file "$WORK/munge/seed" >"$WORK/munged.out" 2>&1 &
until_true 10 "munge listens" test -S "$WORK/munge/socket"
chmod 711 "$WORK/munge"
unshare --uts sh -c 'hostname head; exec slurmctld -D' >"$WORK/ctld.out" 2>&1 &
for host in "${HOSTS[@]}"; do on "$host" slurmd -D -N "$host" >"$WORK/$host.out" 2>&1 & done

idle() { [[ $(sinfo -h -t idle -o %D) == 3 ]]; }
until_true 15 "three nodes are idle: $(tail -2 "$WORK/ctld.log" "$WORK/n1.out" 2>/dev/null)" idle
ok "$(slurmctld -V), three nodes are idle"

run_file "$WORK/run.toml" 3000
digest=$(local_digest "$WORK/run.toml")

cd "$WORK"
export LOCKSTEP
# The limit is not waited for: the signal comes as it would, from Slurm, to the batch script alone.
job=$(sbatch --parsable --nodes=3 --cpus-per-task=1 --time=10 "$ROOT/deploy/slurm/train.sbatch" run.toml "$WORK/run")
until_true 60 "the job trains" at_step "$WORK/run" 500
workers=$(grep -c "worker slurm-$job.0-[012] on n[123] joined" "$WORK/run/lockstep.log") || true
[[ $workers == 3 ]] || fail "$workers of 3 workers joined under their names: $(grep joined "$WORK/run/lockstep.log")"
ok "job $job trains on three nodes, without a flag for its workers"

scancel --batch --signal=USR1 "$job"
requeued() { [[ $(squeue -h -j "$job" -o %T) == PENDING ]]; }
until_true 60 "the job is queued again" requeued
grep -q "stopped after step" "lockstep-$job.out" || fail "no stop in order: $(tail -3 "lockstep-$job.out")"
ok "USR1: $(grep -om1 'stopped after step [0-9]*' "lockstep-$job.out"), a checkpoint, and the job is queued again"
# Slurm lets a job that was queued again wait for two minutes, counted from when its last step is gone.
again() {
  scontrol update jobid="$job" starttime=now || true
  [[ $(grep -c "worker slurm-$job.0-[012] on n[123] joined" "$WORK/run/lockstep.log") -ge 6 ]]
}
# slurmd takes a start in the second of a kill for one from before it, and refuses it.
sleep 2
until_true 200 "the job goes on" again
# A node that loses its worker does not end the job.
for pid in $(ip netns pids "$(space n3)"); do
  [[ $(tr '\0' ' ' <"/proc/$pid/cmdline") == *"lockstep worker --wait 0 " ]] && kill -9 "$pid"
done
ended_job() { [[ -z $(squeue -h -j "$job") || $(squeue -h -j "$job" -o %T) == COMPLETED ]]; }
until_true 200 "the job ends: $(tail -1 "lockstep-$job.out")" ended_job
[[ $(scontrol show job "$job" | grep -o 'JobState=[A-Z]* ') == "JobState=COMPLETED " ]] \
  || fail "$(scontrol show job "$job" | grep -E 'JobState|ExitCode'): $(tail -3 "lockstep-$job.out")"
scontrol show job "$job" | grep -q 'Restarts=1 ' || fail "the job was not started again once"
grep -q '"lost": [1-9]' "$WORK/run/results.json" || fail "no worker was lost"
same "$digest" "$WORK/run" "requeued once, a worker killed"
compgen -G "$WORK/.lockstep-certs-*" >/dev/null && fail "certificates are left behind"

# Workers that cannot work: nobody idles until the time limit, and another try would be the same.
printf '#!/bin/sh\n[ "$1" = worker ] && exit 2\nexec "%s" "$@"\n' "$LOCKSTEP" >"$WORK/ill"
chmod 755 "$WORK/ill"
job=$(LOCKSTEP=$WORK/ill sbatch --parsable --nodes=2 --cpus-per-task=1 --time=10 "$ROOT/deploy/slurm/train.sbatch" run.toml "$WORK/ill-run")
failed() { [[ $(scontrol show job "$job" | grep -o 'JobState=[A-Z]* ') == "JobState=FAILED " ]]; }
until_true 150 "a job whose workers all end fails" failed
scontrol show job "$job" | grep -q 'ExitCode=2:0' || fail "$(scontrol show job "$job" | grep ExitCode)"
grep -q "all workers have ended" "lockstep-$job.out" || fail "no reason: $(tail -3 "lockstep-$job.out")"
ok "a job whose workers all end is stopped, and fails with their code"

# Another try of a bad run file gives the same: the job fails, and is not queued again.
echo 'seed = "seven"' >>run.toml
job=$(sbatch --parsable --nodes=1 --cpus-per-task=1 --time=10 "$ROOT/deploy/slurm/train.sbatch" run.toml "$WORK/bad")
until_true 60 "a bad run file fails the job" failed
scontrol show job "$job" | grep -q 'ExitCode=78:0' || fail "$(scontrol show job "$job" | grep ExitCode)"
ok "a bad run file fails the job with 78, once"
