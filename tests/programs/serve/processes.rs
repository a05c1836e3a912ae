//! The processes of a connection: they end with it, and are isolated from those of others.

use std::fs::File;
use std::io::Write;

use nix::fcntl::{Flock, FlockArg};

use crate::support::wait_for;

use super::{Serve, line, path, rest, stat, until_ended};

const SOON: &str = "--grace=200ms";

#[test]
fn the_process_group_of_a_program_is_stopped_with_it() {
    for left in [
        "sleep 1000",
        "sh -c \"trap '' TERM; sleep 1000; sleep 1000\"",
    ] {
        let serve = Serve::script(&[SOON], &format!("{left} & echo $!"));
        let mut client = serve.connect();
        let pid = line(&mut client).parse().unwrap();
        // The connection is closed even though a process has its descriptor.
        assert_eq!(rest(client), "");
        until_ended(pid);
        serve.until_childless();
    }
}

#[test]
fn an_orphan_of_an_orphan_is_stopped() {
    // The inner shell is found first; its child becomes an orphan when it has ended.
    let script =
        "setsid sh -c 'sleep 1000 >/dev/null & echo $!; exec >/dev/null; wait' & sleep 0.3";
    let serve = Serve::script(&[SOON], script);
    let mut client = serve.connect();
    let pid = line(&mut client).parse().unwrap();
    assert_eq!(rest(client), "");
    until_ended(pid);
    serve.until_childless();
}

#[test]
fn a_process_outside_the_group_is_stopped_with_its_connection_and_not_before() {
    let script = "setsid sh -c 'echo $$; trap \"\" TERM; exec >/dev/null; sleep 1000; sleep 1000' &
         exec cat";
    let serve = Serve::script(&[SOON], script);
    let mut stays = serve.connect();
    let kept: i32 = line(&mut stays).parse().unwrap();
    let mut leaves = serve.connect();
    let pid: i32 = line(&mut leaves).parse().unwrap();
    drop(leaves);
    until_ended(pid);
    assert!(stat(kept).is_some_and(|fields| fields[0] != "Z"));
    drop(stays);
    until_ended(kept);
}

#[test]
fn isolated_connections_cannot_signal_trace_limit_or_slow_down_each_other() {
    let script = "exec 2>/dev/null
         echo $$
         while read -r pid; do
             if [ -z \"$pid\" ]; then pid=$PPID; fi
             kill -0 $pid && echo -n ' signal'
             (exec 3<>/proc/$pid/mem) && echo -n ' memory'
             (cd /proc/$pid/cwd) && echo -n ' directory'
             prlimit --pid $pid --cpu=1000:1000 && echo -n ' limit'
             chrt --idle --pid 0 $pid && echo -n ' policy'
             renice --priority 19 --pid $pid >/dev/null && echo -n ' priority'
             taskset --pid 1 $pid >/dev/null && echo -n ' processors'
             ionice --class 3 --pid $pid && echo -n ' input and output'
             echo
         done";
    for isolated in [true, false] {
        let options: &[&str] = if isolated { &["--isolate"] } else { &[] };
        let serve = Serve::script(options, script);
        let (mut one, mut other) = (serve.connect(), serve.connect());
        let (_, pid) = (line(&mut one), line(&mut other));
        // Another connection's program, and the service.
        for process in [pid.as_str(), ""] {
            writeln!(one, "{process}").unwrap();
            let done = line(&mut one);
            if isolated {
                assert_eq!(done, "", "{process}");
            } else {
                let last = " policy priority processors input and output";
                assert!(
                    done.starts_with(" signal") && done.ends_with(last),
                    "{done}"
                );
            }
        }
    }
}

#[test]
fn an_isolated_program_cannot_take_the_tag_of_another_connection() {
    let script = "ulimit -S -x 5; ulimit -H -x 5; ulimit -n 100; ulimit -x; ulimit -n";
    let command = ["/bin/bash", "-c", script];
    let free = Serve::start(&[], &command).say();
    assert_eq!(free, "5\n100\n");
    let isolated = Serve::start(&["--isolate"], &command).say();
    assert!(
        isolated.len() > 10 && isolated.ends_with("\n100\n"),
        "{isolated}"
    );
}

#[test]
fn an_isolated_program_works_as_usual() {
    let directory = path("isolated");
    let script = format!(
        "mkdir -p {0}/a {0}/b && touch {0}/a/x && mv {0}/a/x {0}/b/ && rm -r {0} \
         && echo moved; sleep 100 & kill $!; wait; ulimit -n >/dev/null && echo done",
        directory.display()
    );
    let serve = Serve::script(&["--isolate"], &script);
    assert_eq!(serve.say(), "moved\ndone\n");
    assert_eq!(serve.say(), "moved\ndone\n");
    assert!(!directory.exists());
}

#[test]
fn an_isolated_program_changes_its_own_scheduling_but_not_that_of_its_group() {
    let script = "
        own=$(nice)
        test $(nice --adjustment 1 nice) = $((own + 1)) && echo priority
        chrt --idle 0 sh -c 'chrt --pid $$' | head -n 1 | sed 's/.*: //'
        taskset 1 sh -c 'taskset --pid $$' | sed 's/.*: //'
        ionice --class 3 ionice
        perl -e 'setpriority(0, 0, 19) or print \"not itself\"; setpriority(1, 0, 19) and print \"its group\"'";
    let found = Serve::script(&["--isolate"], script).say();
    assert_eq!(found, "priority\nSCHED_IDLE\n1\nidle\n");
}

#[test]
fn an_isolated_program_is_in_no_session_with_others() {
    // A kernel can share processor time among sessions.
    let script = "cut -d ' ' -f 6 /proc/$$/stat /proc/$PPID/stat | uniq | wc -l";
    for (options, sessions) in [(&["--isolate"][..], "2\n"), (&[], "1\n")] {
        assert_eq!(Serve::script(options, script).say(), sessions);
    }
}

#[test]
fn a_program_that_leaves_its_process_group_is_stopped() {
    let limits = ["--time-limit=200ms", "--grace=200ms"];
    let program = "if (fork) { setpgrp(0, getpgrp(getppid)); $SIG{TERM} = 'IGNORE' } sleep 100";
    let serve = Serve::start(&limits, &["perl", "-e", program]);
    let _client = serve.connect();
    serve.until_logged(" time limit reached, killed by SIGKILL: ");
}

#[test]
fn a_chain_of_processes_that_fork_and_exit_is_stopped_whatever_limits_it_lowers() {
    // It ends by itself only if the test fails.
    let chain = r#"$SIG{TERM} = "IGNORE"; syswrite STDOUT, "\n"; $end = time + 100;
        while (time < $end) { exit if fork }"#;
    for lower in ["", "ulimit -S -x 5", "ulimit -x 5"] {
        let lock = path("lock");
        let file = File::create(&lock).unwrap();
        // The chain holds the lock as long as one of its processes is alive.
        let script = format!(
            "exec 9<{}; flock --shared 9; {lower}
             for _ in 1 2 3; do read -r < <(exec perl -e '{chain}' </dev/null 2>/dev/null); done; echo started",
            lock.display(),
        );
        let serve = Serve::start(&[SOON], &["bash", "-c", &script]);
        assert_eq!(serve.say(), "started\n", "{lower}");
        wait_for(
            &format!("no process of the chain is left ({lower})"),
            || Flock::lock(file.try_clone().unwrap(), FlockArg::LockExclusiveNonblock).is_ok(),
        );
        serve.until_childless();
    }
}

#[test]
fn inherited_child_processes_are_not_stopped() {
    let by = ["sh", "-c", "sleep 100 & exec \"$@\"", "sh"];
    let mut serve = Serve::start_by(&by, &[SOON], &["echo", "hello"]);
    assert_eq!(serve.say(), "hello\n");
    serve.until_logged(" exited 0: ");
    let [sleeper] = serve.children()[..] else {
        panic!("{:?}", serve.children());
    };
    assert!(serve.end().success());
    assert_eq!(stat(sleeper).unwrap()[0], "S");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(sleeper),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
}
