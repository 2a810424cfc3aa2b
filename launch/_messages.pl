# Filters mpirun's stderr for launch/mpirun: passes on the ranks' output, holds back Open MPI's messages,
# and reports in one sentence why a job failed. launch/mpirun exits with this script's exit code.
#
# usage: perl _messages.pl PROGRAM RANKS SECONDS HOSTFILE SETTING_FILES [HOST...]
#
# RANKS is the number of "up" marks to wait for within SECONDS, or 0 if the start cannot hang. The launcher
# writes control lines, which begin with NUL, into the same pipe: the process id of mpirun, a first and a
# second stop request, and mpirun's exit status. Everything after the status is ignored, so processes that
# hold the pipe open cannot delay the end.
use strict;
use warnings;
use Config;

my ($program, $ranks, $seconds, $hostfile, $setting_files, @hosts) = @ARGV;
my ($in, $out, $held) = ('', '', '');    # unsorted input; unwritten output; Open MPI's messages
my $last_line = '';                      # the last line that was shown
my $is_open = 0;                         # whether the shown text does not end with a newline
my $arrived = 0;                         # the time at which the first byte of $in arrived
my $up = 0;
my $refusal;                             # why the shell that starts a rank could not execute the program
my ($mpirun, $asked, $forced, $status);
my $deadline = $ranks ? now() + $seconds : 0;
my $ended;                               # whether the start was given up
my $memory = '';                         # the expected memory in the ranks' plan
my $killed;                              # the time at which the job was ended
my %agents;                              # the command lines of mpirun's descendants, by process
my %lacking;                             # hosts without the program
my %ranks_here;                          # ranks on this machine, by process
my $victim = 'a rank';                   # the name of the rank that ended the job
my %unstarted;                           # hosts whose agent was still running when the start was given up
my $sightings = 0;                       # how often a signal that mpirun blocks was seen pending
my $launcher = getppid;                  # the process of launch/mpirun
# Leaves the launcher's process group, so that "timeout --signal=KILL", which kills the group, spares this
# process.
setpgrp;

# The lines before and after Open MPI's banners.
my $dashes = '-{60,}';
my $own_line = qr{
    ^(?: \[ [^\s\[\]:]+ : \d+ (?: :\d+ )? \]          # [host:process]
       | \[\[ [^\]]* \],[^\]]*\]                      # [[job],rank]
       | \[ [^\s\[\]]+ \]\[\[ \d+, \d+ \],           # [host][[job],rank]
       | \[warn\]\ Epoll\ (?: ADD | MOD | DEL )\(     # libevent, when Open MPI 5 closes a pipe
       | \*{3}\ (?: An\ error\ occurred\ in\ MPI_ | The\ MPI_ )
       | (?: mpirun | mpiexec | orterun | orted | prterun | prted | prte ):\ 
       | (?: ssh | srun ):\ ) }x;
# The message of a shell that cannot execute the program.
my $unexecuted = qr{^\Q$program\E:\ .*?\d+:\ (?:exec:\ )?\Q$program\E:\ (.*)$}x;
# Lines that cannot be Open MPI's; they are most lines and pass quickly.
my $ordinary = qr{\A(?: (?!\Q$program\E:) [^-\[*mopls\0\n][^\n\0]*\n | \n )+}x;
# Text that may still become such a line or a banner.
my $own_beginning = qr{^(?: -+ | \[[^\]\n]* | \*{1,3}[^\n]* | launch/mpirun:[^\n]* | mpirun:[^\n]*
    | prterun:[^\n]* | (?:ssh|srun):[^\n]* | \Q$program\E:[^\n]* )\z}x;
# Banners that report a rank's end without explaining it.
my $consequence = qr{^Primary\ job\ +terminated | detected\ that\ one\ or\ more\ processes\ exited
    | MPI_ABORT\ was\ invoked | has\ exited\ due\ to\ process | noticed\ that\ the\ job\ aborted
    | ^An\ internal\ error\ has\ occurred\ in\ (?:ORTE|PRTE) | was\ given\ for\ oob_tcp_if_exclude
    | more\ process(?:es)?\ ha(?:s|ve)\ sent\ help\ message
    | Set\ MCA\ parameter | Forwarding\ signal }x;
# Whether the user asked Open MPI for verbose output; it is then shown.
my $verbose = grep { /^(?:OMPI|PRTE|PMIX)_MCA_.*verbose/ } keys %ENV;

# Queues text for stderr.
sub show {
    my ($text) = @_;
    return if $text eq '';
    $out .= $text;
    $is_open = $text !~ /\n\z/;
    # If nothing reads the output, keep the newest.
    $out = substr($out, -(1 << 22)) if length $out > 1 << 23;
    $memory = $1 if $text =~ /^  memory {2,}([^:\n]+): /m;
    $last_line = $1 if substr($text, -4096) =~ /([^\r\n]*\S[^\r\n]*)[\r\n]*\s*\z/;
}

# Keeps one of Open MPI's messages for the verdict.
sub hold {
    my ($text) = @_;
    if ($verbose) { show($text) }
    # This line reports only that Open MPI lost another message.
    return if $text =~ m{ORTE_ERROR_LOG: .*/show_help\.c at line};
    look_for_victim($text =~ /Process name: \S+,(\d+)\]/)
        if $victim !~ /^rank / && $text =~ /^Primary job|exited with non-zero status/m;
    $held .= $text =~ /\n\z/ ? $text : "$text\n" if length $held < 1 << 20;
}

# Sorts the input into the ranks' output and Open MPI's messages. An incomplete rest waits for more input,
# unless $all.
sub sort_out {
    my ($all) = @_;
    my $age = now() - $arrived;
    while (length $in && !defined $status) {
        # Open MPI 5 may end a message with a zero byte, which also begins the launcher's lines.
        next if $in =~ s/\A\0(?=[^a-z])//;
        my $first = substr $in, 0, 1;
        if ($first eq "\0") {
            if ((my $end = index $in, "\n") >= 0) { obey(substr($in, 1, $end, '') =~ /(\w+)/g); $in = substr $in, 1 }
            elsif ($all) { $in = '' }
            else { last }
        } elsif ($first eq '-' && $in =~ /\A$dashes\n/) {
            if ($in =~ s/\A($dashes\n.*?^$dashes\n?)//ms) { hold($1) }
            elsif ($all) { hold($in); $in = '' }
            elsif ($age > 2) { show(substr $in, 0, 1 + index($in, "\n"), '') }
            else { last }
        } elsif ($in =~ $ordinary && index(substr($in, 0, $+[0]), '-' x 60) < 0) {
            show(substr $in, 0, $+[0], '');
        } elsif ($in =~ /\A[^\n\0]*\n/) {
            my $line = substr $in, 0, $+[0], '';
            # Lines before the first rank came up, such as a warning from ssh, are not from a rank.
            if ($line eq "launch/mpirun: up\n") { $last_line = '' unless $up++ }
            elsif ($line =~ m{^launch/mpirun: lacking on (\S+)$}) { $lacking{$1} = 1 }
            elsif ($ranks && $line =~ $unexecuted) { $refusal = $1 }
            elsif ($line =~ $own_line || $line =~ /^\*{3} / && $held =~ /^\*{3} .*\n\z/m) { hold($line) }
            # A banner that follows an unfinished line, such as a progress bar.
            elsif ($line =~ /\A(.+?)($dashes\n)\z/s) { show($1); $in = $2 . $in }
            else { show($line) }
        } else {
            last if !$all && $age < 0.1 && $in =~ $own_beginning;
            $in =~ /\A[^\0]*/;
            show(substr $in, 0, $+[0], '');
        }
    }
}

# Handles a control line of the launcher.
sub obey {
    my ($word, $number) = @_;
    if ($word eq 'process') { $mpirun = $number }
    elsif ($word eq 'asked') {
        $asked = 1;
        # Ranks that are still starting cannot answer the request.
        $deadline = now() + 3 if $deadline && $deadline > now() + 3;
    } elsif ($word eq 'again') { $forced = 1; end_job() }
    elsif ($word eq 'status') { $status = $number }
}

# Returns the time in seconds with fractions, without a module that may be missing.
sub now {
    my $text = '';
    if (open my $file, '<', '/proc/uptime') { $text = <$file> // '' }
    return $text =~ /^([\d.]+)/ ? $1 : time;
}

# Returns a file's content, or nothing if it cannot be read.
sub content {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# Returns the ranks that run on this machine, by process: Open MPI 4 does not always say which rank a
# signal ended.
sub look_for_ranks {
    my %now;
    for my $process (map { split ' ', content($_) } glob "/proc/$mpirun/task/*/children") {
        $now{$process} = $ranks_here{$process}
            // (content("/proc/$process/environ") =~ /(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)\0/ ? $1 : next);
    }
    return %now;
}

# Names the rank that has just ended, or at least its host, if that can be found out.
sub look_for_victim {
    my ($rank) = @_;
    my $own = content('/proc/sys/kernel/hostname') =~ s/\s+\z//r;
    if (defined $rank) {
        my $is_here = !$ranks || grep { $_ == $rank } values %ranks_here;
        my $host = $is_here ? $own : %ranks_here && @hosts == 1 ? $hosts[0] : undef;
        $victim = "rank $rank" . (defined $host ? " on $host" : '');
        return;
    }
    my %now = $mpirun ? look_for_ranks() : ();
    my @gone = grep { !defined $now{$_} || content("/proc/$_/stat") =~ /\) Z /} keys %ranks_here;
    if (@gone == 1) { $victim = "rank $ranks_here{$gone[0]} on $own" }
    elsif (!@gone && %ranks_here && @hosts == 1) { $victim = "a rank on $hosts[0]" }
}

# Notes mpirun's descendants, such as ssh: mpirun does not end them.
sub look_for_agents {
    return unless $mpirun;
    my %parents = map { content("$_/stat") =~ /^(\d+) \(.*\) \S (\d+) /s ? ($1 => $2) : () } glob '/proc/[0-9]*';
    my %below = ($mpirun => 1);
    my $count = 0;
    while ($count < keys %below) {
        $count = keys %below;
        $below{$_} = 1 for grep { $below{$parents{$_}} } keys %parents;
    }
    delete $below{$mpirun};
    %agents = map { $_ => content("/proc/$_/cmdline") } keys %below;
}

# Ends the job at once. mpirun blocks the signals that would end it, but it ends the ranks on all hosts when
# one of them is killed. If none runs here, the other hosts notice that mpirun itself is gone.
sub end_job {
    return if !$mpirun || $killed;
    $killed = now();
    look_for_agents();
    my @here = grep { content("/proc/$_/environ") =~ /(?:^|\0)OMPI_COMM_WORLD_RANK=/ } keys %agents;
    kill 'KILL', @here ? @here : $mpirun;
}

# Gives up a start in which not all ranks came up in time.
sub give_up {
    $ended = 1;
    end_job();
    my %words = map { s/.*\@//r => 1 } map { split /[\0\s]+/ } values %agents;
    %unstarted = map { $_ => 1 } grep { $words{$_} } @hosts;
}

# Removes the folder of temporary files of an mpirun that was killed.
sub remove_session {
    my $parent = (grep { defined && length } @ENV{qw(TMPDIR TEMP TMP)}, '/tmp')[0];
    my ($own) = content('/proc/sys/kernel/hostname') =~ /^([^.\s]+)/ or return;
    opendir my $folder, $parent or return;
    my @names = readdir $folder;
    my $host = qr/\Q$own\E(?:\.[^\/]+)?/;
    my @sessions = map { "$parent/$_/pid.$mpirun" } grep { /^ompi\.$host\.$>$/ } @names;
    # The folder of Open MPI 5 is named after the process, and after the host too on a shared file system.
    push @sessions, map { "$parent/$_" } grep { /^ompi\.(?:$host\.)?$mpirun$/ } @names if $mpirun != $>;
    @sessions = grep { -d } @sessions;
    system 'rm', '-rf', '--', @sessions if @sessions;
}

# Forwards a SIGTERM, SIGINT or SIGHUP that was sent to mpirun alone to the launcher, as a stop request.
# mpirun blocks them, because it would kill the ranks before they have saved anything. The second sighting
# counts, because the launcher's own signal may arrive a moment later. If the launcher was killed, mpirun
# gets a request itself, so that no job trains on unattended.
sub look_for_signals {
    return if $asked || !$mpirun;
    if (getppid != $launcher) {
        kill 'USR1', $mpirun;
        obey('asked');
        conclude(0, 'asked all ranks to checkpoint and stop, because the launcher was killed.');
        return;
    }
    return if $sightings > 1;
    return unless content("/proc/$mpirun/status") =~ /^ShdPnd:\s*([0-9a-f]+)/m;
    return unless hex(substr $1, -8) & 0x4003;
    kill 'ALRM', $launcher if ++$sightings > 1;
}

# The number of bytes that a descriptor which is ready accepts without blocking.
my $portion = -t STDERR ? 512 : 4096;

# Writes as much output as possible without blocking.
sub write_out {
    my $writes = '';
    vec($writes, 2, 1) = 1;
    for (1 .. 64) {
        last unless length $out && select(undef, my $ready = $writes, undef, 0) > 0;
        my $length = length $out < $portion ? length $out : $portion;
        my $written = syswrite STDERR, $out, $length;
        # A terminal that is gone and a full device accept nothing: drop the text.
        $written = $!{EAGAIN} || $!{EINTR} ? 0 : $length unless defined $written;
        substr $out, 0, $written, '';
        last unless $written;
    }
}

my $looked = now();
until (defined $status) {
    my ($reads, $writes) = ('', '');
    vec($reads, 0, 1) = 1;
    vec($writes, 2, 1) = 1 if length $out;
    my $ready = select($reads, $writes, undef, length $in ? 0.05 : 0.5);
    next if $ready < 0;
    write_out() if vec($writes, 2, 1);
    if (vec($reads, 0, 1)) {
        $arrived = now() unless length $in;
        my $count = sysread STDIN, $in, 1 << 16, length $in;
        if (defined $count && !$count) {
            sort_out(1);
            # A launcher that was killed sent no status.
            $status //= $held =~ /Exit code:\s+(\d+)/ ? $1 : $held =~ /\S/ ? 1 : 0;
            last;
        }
    }
    sort_out(0);
    next if defined $status;
    if (now() > $looked + 0.5) {
        $looked = now();
        look_for_signals();
        look_for_agents() if $up < $ranks && !$ended;
        %ranks_here = look_for_ranks() if $mpirun && $victim eq 'a rank';
    }
    give_up() if $deadline && !$ended && $up < $ranks && now() >= $deadline;
    kill 'KILL', $mpirun if $killed && now() >= $killed + 5;
}

# Shows a sentence of the launcher and returns the exit code.
sub conclude {
    my ($code, $sentence) = @_;
    show("\n") if $is_open;
    show("launch/mpirun: $sentence\n");
    return $code;
}

# Returns the names as a list, shortened after the fourth.
sub list_of {
    my @names = @_;
    return @names > 4 ? join(', ', @names[0 .. 3]) . ' and ' . (@names - 4) . ' more' : join(', ', @names);
}

my $resume = 'if training was under way, resume it from its last checkpoint with --resume';

# Explains a failure, if that is needed, and returns the exit code.
sub verdict {
    my $text = $held =~ s/\s+/ /gr;
    return conclude(75, 'stopped before the ranks had started.')
        if $asked && ($ended || $status == 138 || $status == 143 && !$forced && !$up || $ranks && $up < $ranks);
    if ($ended) {
        my @late = %unstarted ? grep { $unstarted{$_} } @hosts : @hosts;
        return conclude(78, (list_of(@late) || 'a host') . " did not start within $seconds s; "
            . 'check that this machine can log in there without a password and that no firewall blocks '
            . 'connections back to it, and give the network between the hosts with --interface.');
    }
    return $status if $status == 0 && $text !~ /lost communication with a remote daemon|failed to report back/;
    return $status if $status == 75;
    return conclude($status, "ended at once, as requested; $resume.") if $forced;

    # A rank's sentence explains the failure; a progress line does not.
    my $is_sysexit = $status >= 64 && $status <= 78;
    my $spoken = $last_line ne '' && ($up || !$ranks) && ($is_sysexit || $last_line !~ /^lockstep(?:\[[^\]]*\])?: /);
    # Whether a rank ended the job, so that its last line explains the end.
    my $is_own_end = $is_sysexit || $text =~ /Exit code: $status\b/;
    my $named = $hostfile eq '' ? 'the hosts' : $hostfile;
    if ($text =~ /process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)/) {
        return conclude($status, "rank $1 on $2 was ended by " . signal($3) . '; ' . suspects($3) . "$resume.");
    }
    if ($text =~ /lost communication with a remote daemon.*?Remote daemon: \S+ on node (\S+)/
        || $up && $text =~ /failed to report back.*? Remote host: (\S+)/) {
        return conclude(74, "the connection to $1 was lost; check that it is up, and $resume.");
    }
    $lacking{$1} = 1 if $text =~ /access (?:or execute )?an executable: Executable: .+? Node: (\S+)/
        || $text =~ /find the specified executable file.*? Node: (\S+) Executable: /;
    if (my @names = sort keys %lacking) {
        return conclude(66, list_of(@names) . (@names > 1 ? ' have' : ' has') . " no executable $program; "
            . 'install it there, at the same path as on this host.');
    }
    if ($text =~ /via the "execve" system call .*? Application name: (.+?) Error: (.*?) -{60,}/
        || defined $refusal && "$program\0$refusal" =~ /(.*)\0(.*)/) {
        my ($path, $reason) = ($1, $2);
        $reason =~ s/^\Q$path\E has an? |\.?\s*\z//g;
        return conclude(66, "$path: cannot be executed ($reason); give a program that runs on every host, or "
            . 'correct the interpreter that its first line names.');
    }
    if ($status == 127 && $last_line =~ /error while loading shared libraries: (.+?)\s*$/) {
        my $reason = $1;
        my $who = $text =~ /Process name: \S+,(\d+)\] Exit code: / ? "rank $1" : 'a rank';
        return conclude(78, "$who could not load the libraries of $program ($reason); install the same libraries "
            . 'on every host.');
    }
    if (!$is_sysexit && $text =~ /Unable to connect to the peer (\S+) on port \d+|connect\(\) to ([\d.]+):\d+ failed/) {
        my $address = $1 // $2;
        return conclude(74, "a host cannot reach another one at $address; check the routes and firewalls between "
            . 'the hosts, and remove the address from its interface if it belongs to a different network.');
    }
    # Open MPI 4 does not always name the rank.
    if ($status > 128 && $status <= 192 && $text !~ /Exit code: / && ($text =~ /Primary job/ || $held !~ /^$dashes/m)) {
        my $who = $text =~ /Primary job/ ? $victim : 'mpirun or a rank';
        return conclude($status, "$who was ended by " . signal($status - 128) . "; $resume.");
    }
    # The failures below prevent ranks from coming up.
    return $status if $spoken && $up && $is_own_end;
    if ($text =~ /(?:binding more processes than cpus on a resource:|no available cpus on the following node:).*?Node: (\S+)/) {
        return conclude(78, "$1 has fewer cores than its ranks have threads; start fewer ranks or threads there, "
            . 'or let them share cores with --oversubscribe.');
    }
    if ($text =~ /require binding processes to more cpus than are available|not enough \S+ available to bind/
        || $text =~ /failed to map.*? Mapper result: Out of resource .*? Binding policy: (?!NONE)/
        || $text =~ /more cpus per process\(rank\) than there are cpus|less cpus than requested ones/) {
        return conclude(78, 'a host has fewer cores than its ranks have threads; start fewer ranks or threads, '
            . 'or let them share cores with --oversubscribe.');
    }
    if ($text =~ /multiple definitions of the slot count.*?hostfile: .*? node: (\S+)/) {
        return conclude(78, "$named: several lines name the host $1; give it one line with all its slots.");
    }
    if ($text =~ /There are not enough slots available in the system to satisfy the (\d+) slots/) {
        return conclude(78, "there are fewer slots than the $1 ranks; start fewer ranks, or give --oversubscribe.");
    }
    if ($text =~ /TCP networks specified to be included.*?Value given: (\S+)/
        || $text =~ /invalid value was given for (?:btl|oob)_tcp_if_include.*?Value: (\S+)/) {
        return missing_network($1, own_setting(qr/tcp_if_include/));
    }
    if ($text =~ /unable to find network interfaces/) {
        return conclude(78, 'this machine has no network interface that is up, not even loopback; run "ip link set lo up".');
    }
    if ($text =~ /No network interfaces were found for out-of-band|resulted in no networks being available/) {
        # Open MPI 5 does not say which network it looked for.
        my $setting = own_setting(qr/oob_tcp_if_include/);
        return missing_network($ENV{$setting}, $setting) if $setting;
        return missing_network($ENV{LOCKSTEP_INTERFACE}) if ($ENV{LOCKSTEP_INTERFACE} // '') ne '';
        return conclude(78, 'a host has none of the networks that Open MPI may use; give --interface the name or '
            . 'range of a network that every host has.');
    }
    if ($text =~ /plm_(?:rsh|ssh)_agent" was set to a path that could not be found: plm_\S+ (.+?) Please/) {
        my $agent = $1;
        my $setting = own_setting(qr/plm_(?:rsh|ssh)_agent/);
        return conclude(78, "$setting = $agent: PATH has no such program; correct or unset it.") if $setting;
        return conclude(78, "PATH has no \"$agent\" to reach other hosts; install it, or give another --agent.");
    }
    if ($text =~ /call to mkdir was unable to create the desired directory: Directory: (.+?) Error: (.+?) Please/) {
        my ($folder, $reason) = ($1, $2);
        my $setting = own_setting(qr/tmpdir_base/);
        return conclude(74, "$folder: the folder cannot be created ($reason); "
            . ($setting ? "correct or unset $setting." : 'set TMPDIR to a writable folder.'));
    }
    if ($text =~ /component was not found.*?Framework: (\S+) Component: (\S+)/) {
        return conclude(78, "OMPI_MCA_$1: Open MPI has no component \"$2\"; correct or unset it.");
    }
    return conclude(78, 'a host has GNU coreutils older than 8.31, whose env cannot block signals; set '
        . 'OMPI_MCA_orte_launch_agent=orted with Open MPI 4, and PRTE_MCA_prte_launch_agent=prted with Open MPI 5.')
        if "$last_line $text" =~ /unrecognized option '--block-signal/;
    if ($held =~ /^srun: (?:error: )?(.*?)\s*$/m) {
        return conclude(78, "srun cannot start Open MPI on the nodes of this allocation ($1); check that the "
            . 'allocation is still valid and that its nodes are up.');
    }
    # If Open MPI 5 is missing on a host, the shell there exits with 126 or 127. If ssh fails, it exits with 255.
    if ($text =~ /failed to report back.*? Remote host: (\S+) Daemon exit status: (?!0 |12[67] |255 )/) {
        return conclude(78, "$1: Open MPI was started there but could not connect back; check that no firewall blocks "
            . 'connections to this machine, and give the network between the hosts with --interface.');
    }
    if ($text =~ /unable to reliably start|daemon .*?unexpectedly|failed to report back|unable to launch the .*?daemon|ssh: /) {
        my ($reason) = $held =~ /^ssh: (.*?)\s*$/m;
        my $words = join "\n", $last_line, $held =~ /^ssh:.*/mg;
        my @meant = grep { $words =~ /(?<![\w.-])\Q$_\E(?![\w.-])/ } @hosts;
        # Open MPI 5 names the host, as far as its agent failed.
        @meant = $text =~ /failed to report back.*? Remote host: (\S+)/g unless @meant;
        @meant = @hosts unless @meant;
        my $who = @meant > 1 ? 'one of ' . list_of(@meant) : $meant[0] // 'a host';
        return conclude(78, "$who: Open MPI cannot be started there" . (defined $reason ? " ($reason)" : '')
            . '; check the name of the host, that this machine can log in there without a password, and that '
            . 'Open MPI is installed there.');
    }
    my @blocks = grep { /\S/ && !/$consequence/ } map { s/^\n+|\n+\z//gr } split /^$dashes\n/m, $held;
    return $status if $spoken && ($is_own_end || !@blocks);
    if (my ($setting, $value) = refused_setting("@blocks" =~ s/\s+/ /gr)) {
        return conclude(66, "$value: Open MPI cannot open this file; correct or unset $setting.")
            if $value =~ m{^/} && $text =~ /unable to open|No such file|not found/;
        my ($words) = "@blocks" =~ s/\s+/ /gr =~ /^ ?([^\[ ].{9,150}?)(?:[.:]| [A-Z]\w*:) /;
        return conclude(78, "$setting = $value: Open MPI refuses it" . (defined $words ? " ($words)" : '')
            . '; correct or unset it.');
    }
    # Open MPI refuses some values without a message, or with one that states only the consequence.
    my %settings = $status < 128 ? settings('environment') : ();
    my $remedy = 'correct or unset its settings: ' . assignments(%settings);
    my $vague = qr/((?:MPI_INIT|PMIx_Init|[op]rte_init|opal_init)(?:\(\)")? (?:has )?failed|error occurred in MPI_Init|job failed to map)/;
    my $is_vague = $text =~ $vague;
    my @telling = grep { !/$vague/ } @blocks;
    return conclude(78, 'Open MPI does not start' . ($is_vague ? " ($1)" : '') . "; $remedy.")
        if %settings && !@telling && ($is_vague || $text =~ /^\s*\z/);
    if (@blocks) {
        show(join "\n", (@telling ? @telling : @blocks), '') unless $verbose;
        return conclude($is_vague ? 78 : $status > 128 ? 70 : $status, 'mpirun failed; see its message above'
            . (%settings ? ", and if that does not help, $remedy." : '.'));
    }
    if ($status < 128 || $text =~ /Exit code: $status\b/) {
        return conclude($status, "$victim exited with code $status without a message; run the command on one rank to find the cause.");
    }
    if ($status > 192) {
        return conclude(70, "mpirun exited with status $status without a message; check the hosts and the network between them.");
    }
    return $status;
}

# Reports that a host lacks a network, which the user gave with --interface or in a setting; returns the exit code.
sub missing_network {
    my ($network, $setting) = @_;
    return conclude(78, "$setting = $network: a host has no such network; correct or unset it.") if $setting;
    return conclude(78, "a host has no network \"$network\"; give --interface the name or range of a network "
        . 'that every host has, as listed by "ip address".');
}

# Returns the settings of Open MPI from the environment and from files: values by name, such as OMPI_MCA_btl.
sub settings {
    my ($only_environment) = @_;
    my %settings = map { /^(?:OMPI|PRTE|PMIX)_MCA_/ ? ($_ => $ENV{$_}) : () } keys %ENV;
    return %settings if $only_environment;
    for my $file (split /\n/, $setting_files) {
        my $lines = content($file);
        $settings{"$1 in $file"} = $2 while $lines =~ /^[ \t]*(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$/mg;
    }
    return %settings;
}

# Returns the name of the first variable that sets Open MPI and matches a pattern, if there is one.
sub own_setting {
    my ($pattern) = @_;
    my %settings = settings('environment');
    my ($name) = grep { $_ =~ $pattern } sort keys %settings;
    return $name;
}

# Returns settings as text, such as "OMPI_MCA_btl = tcp, OMPI_MCA_pml = ob1".
sub assignments {
    my (%settings) = @_;
    return join ', ', map { "$_ = $settings{$_}" } sort keys %settings;
}

# Returns the name and the value of the user's setting that a message of Open MPI is about, if there is one.
sub refused_setting {
    my ($text) = @_;
    my %settings = settings();
    for my $setting (sort keys %settings) {
        my $name = $setting =~ s/^[A-Z]+_MCA_| in .*//gr;
        my $value = $settings{$setting};
        # A list that begins with ^ names components to exclude.
        next if $value =~ /^\^/;
        my $is_named = $text =~ /(?<!\w)\Q$name\E(?!\w)/;
        return ($setting, $value)
            if $is_named && $name =~ /_/ || $value =~ /\D/ && $text =~ /: \Q$value\E(?!\w)/
            || $is_named && grep { length > 1 && $text =~ /(?<!\w)\Q$_\E(?!\w)/ } split /[,:^]/, $value;
    }
    return;
}

# Returns a clause about the user's Open MPI settings if they may have crashed a rank.
sub suspects {
    my ($signal) = @_;
    my %settings = settings('environment');
    return '' if !%settings || $signal != 6 && $signal != 7 && $signal != 11;
    return 'if it was starting, correct or unset Open MPI\'s settings: ' . assignments(%settings) . '; ';
}

# Returns a signal's name, with the likely cause of SIGKILL.
sub signal {
    my ($number) = @_;
    my @names = split ' ', $Config{sig_name};
    my $name = 'SIG' . ($names[$number] // $number);
    my $plan = $memory eq '' ? '' : "the plan expected $memory; ";
    return $number == 9 ? "$name, most likely because memory ran out (${plan}see dmesg)" : $name;
}

my $code = verdict();
remove_session() if $killed;
kill 'TERM', grep { content("/proc/$_/cmdline") eq $agents{$_} } keys %agents
    if $killed || $up < $ranks;
# A reader may be slow, but a terminal that accepts nothing must not delay a job that was asked to stop.
my $patience = now() + 5;
while (length $out && !($asked && now() > $patience)) {
    my $writes = '';
    vec($writes, 2, 1) = 1;
    write_out() if select(undef, $writes, undef, 0.5) > 0;
}
exit $code;
