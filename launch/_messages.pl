# Shows what the ranks write on stderr, holds back Open MPI's own words, and says in one sentence why a
# job has failed. Run by launch/mpirun, which pipes mpirun's stderr in and exits with the code given here.
#
# usage: perl _messages.pl PROGRAM RANKS SECONDS HOSTFILE [HOST...]
#
# RANKS is how many "up" marks to wait for, at most SECONDS; 0 where the start cannot hang. The launcher
# writes control lines into the same pipe, which begin with a NUL: the process of mpirun, that a stop was
# asked for, that it was asked for again, and mpirun's status, after which nothing else counts. So
# processes that hold the pipe open cannot delay the end.
use strict;
use warnings;
use Config;

my ($program, $ranks, $seconds, $hostfile, @hosts) = @ARGV;
my ($in, $out, $held) = ('', '', '');    # not yet looked at; not yet written; Open MPI's words
my $last_line = '';                      # what was shown last
my $is_open = 0;                         # whether that line has no end yet
my $arrived = 0;                         # when the first byte of $in came
my $up = 0;
my ($mpirun, $asked, $forced, $status);
my $deadline = $ranks ? time + $seconds : 0;
my ($ended, %agents);                    # when a start was given up; what mpirun had started, by process
my %lacking;                             # hosts without the program
my %ranks_here;                          # ranks on this machine, by process
my $victim = 'a rank';                   # the one that ended the job
my %unstarted;                           # hosts whose agent was still at work then
my $sightings = 0;                       # of a signal that mpirun does not hear

# Open MPI's banners stand between such lines.
my $dashes = '-{60,}';
my $own_line = qr{
    ^(?: \[ [^\s\[\]:]+ : \d+ (?: :\d+ )? \]          # [host:process]
       | \[\[ [^\]]* \],[^\]]*\]                      # [[job],rank]
       | \*{3}\ (?: An\ error\ occurred\ in\ MPI_ | The\ MPI_ )
       | (?: mpirun | mpiexec | orterun | orted | prterun | prted | prte ):\ 
       | ssh:\ ) }x;
# Lines that cannot be Open MPI's, as most are, for speed.
my $ordinary = qr{\A(?: [^-\[*mopls\0\n][^\n\0]*\n | \n )+}x;
# What may yet become such a line or a banner.
my $own_beginning = qr{^(?: -+ | \[[^\]\n]* | \*{1,3}[^\n]* | launch/mpirun:[^\n]* | mpirun:[^\n]*
    | prterun:[^\n]* | ssh:[^\n]* )\z}x;
# Banners that follow from a rank's end and do not explain it.
my $consequence = qr{^Primary\ job\ +terminated | detected\ that\ one\ or\ more\ processes\ exited
    | MPI_ABORT\ was\ invoked | has\ exited\ due\ to\ process | noticed\ that\ the\ job\ aborted
    | ^An\ internal\ error\ has\ occurred\ in\ ORTE | was\ given\ for\ oob_tcp_if_exclude
    | more\ process(?:es)?\ ha(?:s|ve)\ sent\ help\ message
    | Set\ MCA\ parameter | Forwarding\ signal }x;
# Who asks Open MPI to be verbose wants to read it.
my $verbose = grep { /^(?:OMPI|PRTE|PMIX)_MCA_.*verbose/ } keys %ENV;

sub show {
    my ($text) = @_;
    return if $text eq '';
    $out .= $text;
    $is_open = $text !~ /\n\z/;
    # Nobody reads: keep the newest.
    $out = substr($out, -(1 << 22)) if length $out > 1 << 23;
    $last_line = $1 if substr($text, -4096) =~ /([^\r\n]*\S[^\r\n]*)[\r\n]*\s*\z/;
}

sub hold {
    my ($text) = @_;
    if ($verbose) { show($text) }
    look_for_victim() if $text =~ /^Primary job/m && $victim eq 'a rank';
    $held .= $text =~ /\n\z/ ? $text : "$text\n" if length $held < 1 << 20;
}

# Parts what has come into the ranks' words and Open MPI's; the rest waits for more, unless $all.
sub sort_out {
    my ($all) = @_;
    my $age = now() - $arrived;
    while (length $in && !defined $status) {
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
            if ($line eq "launch/mpirun: up\n") { $up++ }
            elsif ($line =~ m{^launch/mpirun: lacking on (\S+)$}) { $lacking{$1} = 1 }
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

# A control line of the launcher.
sub obey {
    my ($word, $number) = @_;
    if ($word eq 'process') { $mpirun = $number }
    elsif ($word eq 'asked') {
        $asked = 1;
        # Ranks that are not there yet cannot stop by themselves.
        $deadline = time + 3 if $deadline && $deadline > time + 3;
    } elsif ($word eq 'again') { $forced = 1 }
    elsif ($word eq 'status') { $status = $number }
}

# Time as precise as the system gives it without a module that may be missing.
sub now {
    my $text = '';
    if (open my $file, '<', '/proc/uptime') { $text = <$file> // '' }
    return $text =~ /^([\d.]+)/ ? $1 : time;
}

sub content {
    my ($path) = @_;
    open my $file, '<', $path or return '';
    local $/;
    return <$file> // '';
}

# Notes which ranks run on this machine: version 4 of mpirun does not always say which one a signal ended.
sub look_for_ranks {
    my %now;
    for my $process (map { split ' ', content($_) } glob "/proc/$mpirun/task/*/children") {
        $now{$process} = $ranks_here{$process}
            // (content("/proc/$process/environ") =~ /(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)\0/ ? $1 : next);
    }
    return %now;
}

# The rank that has just ended, or its host, as far as that can be told.
sub look_for_victim {
    my %now = $mpirun ? look_for_ranks() : ();
    my @gone = grep { !defined $now{$_} || content("/proc/$_/stat") =~ /\) Z /} keys %ranks_here;
    my $own = content('/proc/sys/kernel/hostname') =~ s/\s+\z//r;
    if (@gone == 1) { $victim = "rank $ranks_here{$gone[0]} on $own" }
    elsif (!@gone && %ranks_here && @hosts == 1) { $victim = "a rank on $hosts[0]" }
}

# Notes what mpirun has started to reach other hosts, and what that has started: mpirun does not end it.
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

# Gives up a start in which not all ranks have come up in time.
sub give_up {
    $ended = time;
    return unless $mpirun;
    look_for_agents();
    my %words = map { s/.*\@//r => 1 } map { split /[\0\s]+/ } values %agents;
    %unstarted = map { $_ => 1 } grep { $words{$_} } @hosts;
    kill 'INT', $mpirun;
}

# mpirun hears no SIGTERM and no SIGHUP, which would have it kill the ranks before they have saved
# anything. One that was meant for it alone becomes a request to the launcher, after a moment in which the
# launcher's own may arrive.
sub look_for_signals {
    return if $asked || !$mpirun || $sightings > 1;
    return unless content("/proc/$mpirun/status") =~ /^ShdPnd:\s*([0-9a-f]+)/m;
    return unless hex(substr $1, -8) & 0x4001;
    kill 'ALRM', getppid if ++$sightings > 1;
}

# Writes what can be written without waiting: so much fits where a descriptor is ready at all.
my $portion = -t STDERR ? 512 : 4096;

sub write_out {
    my $writes = '';
    vec($writes, 2, 1) = 1;
    for (1 .. 64) {
        last unless length $out && select(undef, my $ready = $writes, undef, 0) > 0;
        my $length = length $out < $portion ? length $out : $portion;
        my $written = syswrite STDERR, $out, $length;
        # A terminal that is gone and a full device take nothing: go on without.
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
        if (defined $count && !$count) { sort_out(1); $status //= 1; last }
    }
    sort_out(0);
    next if defined $status;
    if (now() > $looked + 0.5) {
        $looked = now();
        look_for_signals();
        look_for_agents() if $up < $ranks && !$ended;
        %ranks_here = look_for_ranks() if $mpirun && $victim eq 'a rank';
    }
    give_up() if $deadline && !$ended && $up < $ranks && time >= $deadline;
    kill 'KILL', $mpirun if $ended && $mpirun && time >= $ended + 5;
}

# A sentence of the launcher's own, and its code.
sub conclude {
    my ($code, $sentence) = @_;
    show("\n") if $is_open;
    show("launch/mpirun: $sentence\n");
    return $code;
}

sub list_of {
    my @names = @_;
    return @names > 4 ? join(', ', @names[0 .. 3]) . ' and ' . (@names - 4) . ' more' : join(', ', @names);
}

my $resume = 'if training was under way, resume it from its last checkpoint with --resume';

# The exit code, after a sentence where one is due.
sub verdict {
    my $text = $held =~ s/\s+/ /gr;
    return conclude(75, 'stopped before the ranks had started.')
        if $asked && ($ended || $status == 138 || $status == 143 && !$forced || $ranks && $up < $ranks);
    if ($ended) {
        my @late = %unstarted ? grep { $unstarted{$_} } @hosts : @hosts;
        return conclude(78, list_of(@late) . (@late > 1 ? ' have' : ' has') . " not started within $seconds s; "
            . 'check that this machine can log in there without a password and that connections back to it '
            . 'are let through, and name the network between the hosts with --interface.');
    }
    return $status if $status == 0 && $text !~ /lost communication with a remote daemon/;
    return conclude($status, "ended at once, as asked; $resume.") if $forced;

    # Neither lockstep's progress nor silence explains an end; a sentence of a rank does.
    my $spoken = $last_line ne '' && !($last_line =~ /^lockstep: / && $last_line !~ /[.?]\s*$/);
    my $named = $hostfile eq '' ? 'the hosts' : $hostfile;
    if ($text =~ /process rank (\d+) with PID \d+ on node (\S+) exited on signal (\d+)/) {
        return conclude($status, "rank $1 on $2 was ended by " . signal($3) . "; $resume.");
    }
    if ($text =~ /lost communication with a remote daemon.*?Remote daemon: \S+ on node (\S+)/) {
        return conclude(74, "the connection to $1 was lost; check that it is up, and $resume.");
    }
    $lacking{$1} = 1 if $text =~ /access or execute an executable: Executable: .+? Node: (\S+)/;
    if (my @names = sort keys %lacking) {
        return conclude(66, list_of(@names) . (@names > 1 ? ' have' : ' has') . " no program $program that may "
            . 'be executed; install it there, at the same path as here.');
    }
    # What follows keeps ranks from coming up.
    return $status if $spoken && $up;
    if ($text =~ /binding more processes than cpus on a resource:.*?Node: (\S+)/) {
        return conclude(78, "$1 has fewer cores than its ranks have threads; start fewer ranks or threads there, "
            . 'or let them share cores with --oversubscribe.');
    }
    if ($text =~ /require binding processes to more cpus than are available|not enough \S+ available to bind/) {
        return conclude(78, 'a host has fewer cores than its ranks have threads; start fewer ranks or threads, '
            . 'or let them share cores with --oversubscribe.');
    }
    if ($text =~ /multiple definitions of the slot count.*?hostfile: .*? node: (\S+)/) {
        return conclude(78, "$named: several lines mean the host $1; give it one line with all its slots.");
    }
    if ($text =~ /There are not enough slots available in the system to satisfy the (\d+) slots/) {
        return conclude(78, "there are fewer slots than the $1 ranks; start fewer ranks, or give --oversubscribe.");
    }
    if ($text =~ /TCP networks specified to be included.*?Value given: (\S+)/
        || $text =~ /invalid value was given for (?:btl|oob)_tcp_if_include.*?Value: (\S+)/) {
        return conclude(78, "a host has no network \"$1\"; give --interface the name or range of one that every "
            . 'host has, which "ip address" lists.');
    }
    if ($text =~ /unable to find network interfaces/) {
        return conclude(78, 'this machine has no network, not even its own; bring that up with: ip link set lo up');
    }
    if ($text =~ /No network interfaces were found for out-of-band/) {
        return conclude(78, 'a host has none of the networks that Open MPI may use; give --interface the name or '
            . 'range of one that every host has.');
    }
    if ($text =~ /plm_(?:rsh|ssh)_agent" was set to a path that could not be found: plm_\S+ (.+?) Please/) {
        return conclude(78, "there is no \"$1\" in PATH to reach other hosts with; install ssh, or give --agent.");
    }
    if ($text =~ /call to mkdir was unable to create the desired directory: Directory: (.+?) Error: (.+?) Please/) {
        return conclude(74, "$1: cannot be made ($2); set TMPDIR to a folder that can be written.");
    }
    if ($text =~ /component was not found.*?Framework: (\S+) Component: (\S+)/) {
        return conclude(78, "Open MPI has no \"$2\" for $1; unset OMPI_MCA_$1 or correct it.");
    }
    if ($text =~ /unable to reliably start|daemon .*?unexpectedly|unable to launch the .*?daemon|ssh: /) {
        my ($reason) = $held =~ /^ssh: (.*?)\s*$/m;
        my $words = join "\n", $last_line, $held =~ /^ssh:.*/mg;
        my @meant = grep { $words =~ /(?<![\w.-])\Q$_\E(?![\w.-])/ } @hosts;
        @meant = @hosts unless @meant;
        my $who = @meant == 1 ? $meant[0] : 'one of ' . list_of(@meant);
        return conclude(78, "$who cannot be started" . (defined $reason ? " ($reason)" : '') . '; check its name, '
            . 'that this machine can log in there without a password, and that Open MPI is installed there.');
    }
    # Version 4 sometimes leaves out which rank it was.
    if ($status > 128 && $status <= 192 && $text !~ /Exit code: / && $text =~ /Primary job|^\s*\z/) {
        my $who = $text =~ /Primary job/ ? $victim : 'mpirun or a rank';
        return conclude($status, "$who was ended by " . signal($status - 128) . "; $resume.");
    }
    return $status if $spoken;
    my @blocks = grep { !/$consequence/ } map { s/^\n+|\n+\z//gr } split /^$dashes\n/m, $held;
    if (grep { /\S/ } @blocks) {
        show(join "\n", (grep { /\S/ } @blocks), '') unless $verbose;
        return conclude($status > 128 ? 70 : $status, 'mpirun failed, for the reasons that it gives above.');
    }
    $victim = "rank $1" if $text =~ /Process name: \S+,(\d+)\] Exit code: / && $victim eq 'a rank';
    if ($status != 75 && ($status < 128 || $text =~ /Exit code: $status\b/)) {
        return conclude($status, "$victim ended with code $status and no word.");
    }
    if ($status > 192) {
        return conclude(70, "mpirun ended with status $status and no word; check the hosts and the network between them.");
    }
    return $status;
}

sub signal {
    my ($number) = @_;
    my @names = split ' ', $Config{sig_name};
    my $name = 'SIG' . ($names[$number] // $number);
    return $number == 9 ? "$name, most likely because memory ran out (dmesg tells)" : $name;
}

my $code = verdict();
kill 'TERM', grep { content("/proc/$_/cmdline") eq $agents{$_} } keys %agents
    if $up < $ranks;
# A reader may be slow; a terminal that takes nothing must not keep a job that was asked to stop.
my $patience = time + 5;
while (length $out && !($asked && time > $patience)) {
    my $writes = '';
    vec($writes, 2, 1) = 1;
    write_out() if select(undef, $writes, undef, 0.5) > 0;
}
exit $code;
