//! A socket in the file system that only its owner reaches.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::settings::Refusal;

/// Connections that may wait.
const WAITING: i32 = 32;

/// Binds it. What a process that is gone has left there is taken away; nothing else is.
pub(super) fn bind(path: &Path) -> Result<UnixListener, Refusal> {
    let refused = |error: &io::Error| {
        let message = format!("the admin socket `{}` cannot be made: {}", path.display(), error.kind());
        Refusal::new("admin-address", message, "name a path in a directory that this user may write to")
    };
    if let Ok(found) = fs::symlink_metadata(path) {
        let abandoned = found.file_type().is_socket() && UnixStream::connect(path).is_err();
        if !abandoned {
            return Err(refused(&io::ErrorKind::AddrInUse.into()));
        }
        fs::remove_file(path).map_err(|error| refused(&error))?;
    }
    made(path).map_err(|error| refused(&error))
}

fn made(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Before it has a name, so that at no moment anyone else can connect.
    let owned = Permissions::from_mode(0o600);
    File::from(OwnedFd::from(socket.try_clone()?)).set_permissions(owned.clone())?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, owned)?;
    socket.listen(WAITING)?;
    socket.set_nonblocking(true)?;
    Ok(UnixListener::from(OwnedFd::from(socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_reaches_it_and_only_what_was_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let bound = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&path).is_err(), "somebody listens there");
        drop(bound);
        drop(bind(&path).unwrap());
        let file = directory.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(bind(&file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
