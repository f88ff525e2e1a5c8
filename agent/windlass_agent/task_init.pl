# The first process of a sandboxed task; what it does and says is told in task_init.py.
open(my $what, '<&=', $ARGV[0]) or exit 1;
open(my $status, '>&=', $ARGV[1]) or exit 1;
fcntl($status, 2, 1);    # F_SETFD, FD_CLOEXEC: the command must not hold or forge it
binmode $_ for $what, $status;
my @fields = split /\0/, do { local $/; <$what> }, -1;
close $what;
my ($directory, $count) = splice @fields, 0, 2;
my @pairs = splice @fields, 0, $count;

pipe(my $failure, my $failed) or exit 1;    # perl closes both when a program is executed
my $child = fork;
exit 1 unless defined $child;
if (!$child) {
    my $step = 'chdir';
    if (chdir $directory) {
        $step = 'exec';
        %ENV = map { split /=/, $_, 2 } @pairs;
        exec { $fields[0] } @fields;
    }
    syswrite $failed, "failed $step " . ($! + 0) . "\n";
    exit 127;
}
close $failed;
my $said = do { local $/; <$failure> };
syswrite $status, $said || "started\n";
while ((my $pid = wait) != -1) {
    next if $pid != $child;
    syswrite $status, "ended $?\n";
    exit 0;
}
