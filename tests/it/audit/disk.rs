//! A file on a disk that is full.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use doorward::audit::store::{Logger, Store};

use super::{all, append, entry, holds, options};

/// A small disk, until it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// Mounts one, which takes the rights of root or those that `sudo` gives without asking.
    fn new(bytes: u32) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = |program: &[&str]| {
            let size = format!("size={bytes},mode=1777");
            let all = [program, &["mount", "-t", "tmpfs", "-o", &size, "tmpfs"]].concat();
            let ran = Command::new(all[0]).args(&all[1..]).arg(directory.path()).output();
            ran.is_ok_and(|output| output.status.success())
        };
        if mount(&[]) || mount(&["sudo", "-n"]) {
            return Some(Self(directory));
        }
        let required = std::env::var_os("DOORWARD_CONTAINERS").is_some_and(|v| v == "required");
        assert!(!required, "a small disk cannot be mounted");
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("SKIPPED: a small disk cannot be mounted without the rights of root");
        }
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("sudo").args(["-n", "umount", "-l"]).arg(self.path()).status();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_a_full_disk_refuses_and_recovers_when_there_is_room() {
    let Some(disk) = Disk::new(4 << 20) else { return };
    let store: Store = format!("sqlite:{}", disk.path().join("audit.db").display()).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    let mut acknowledged = append(&logger, "before", 4, 5).await;
    // All that is left, to the last block.
    let filler = disk.path().join("filler");
    let fill = |size: &str| {
        let of = format!("of={}", filler.display());
        let _ = Command::new("dd").args(["if=/dev/zero", &of, size, "oflag=append", "conv=notrunc"]).output().unwrap();
    };
    fill("bs=65536");
    fill("bs=4096");
    let begin = Instant::now();
    let mut round = 0;
    while logger.health().away.is_none() {
        assert!(begin.elapsed() < Duration::from_mins(1), "the disk is not full");
        acknowledged.extend(append(&logger, &format!("full{round}"), 32, 20).await);
        round += 1;
    }
    assert!(logger.append(entry("meanwhile")).await.is_err());
    std::fs::remove_file(&filler).unwrap();
    let begin = Instant::now();
    for n in 0.. {
        let request = format!("after{n}");
        if logger.append(entry(&request)).await.is_ok() {
            acknowledged.insert(request);
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "not back: {:?}", logger.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    logger.close().await;
    holds(&all(&store).await, &acknowledged);
}
