//! Sockets: Litio's, and the Unix ones with the addresses of mio 0.8.

pub use litio::net::{TcpListener, TcpStream, UdpSocket};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
