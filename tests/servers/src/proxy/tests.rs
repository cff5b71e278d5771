use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn connected(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.expect("the proxy takes connections")
}

async fn heard(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(SOON, stream.read_exact(&mut bytes)).await.expect("soon").expect("it arrives");
    bytes
}

async fn says(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("it is sent");
    assert_eq!(heard(stream, bytes.len()).await, bytes);
}

/// Ends only when the other side has closed the connection.
async fn is_closed(stream: &mut TcpStream) {
    let end = timeout(SOON, stream.read(&mut [0; 64])).await.expect("it is closed soon");
    assert!(matches!(end, Ok(0)) || end.is_err(), "got {end:?}");
}

#[tokio::test]
async fn a_cut_network_closes_what_is_open_and_refuses_what_is_new_until_it_is_restored() {
    let proxy = Proxy::to(echo().await).await;
    let mut stream = connected(&proxy).await;
    says(&mut stream, b"before").await;

    proxy.cut().await;
    is_closed(&mut stream).await;
    let refused = TcpStream::connect(proxy.address()).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    proxy.restore().await;
    says(&mut connected(&proxy).await, b"after").await;
}

#[tokio::test]
async fn a_dropped_connection_leaves_the_network_usable() {
    let proxy = Proxy::to(echo().await).await;
    let mut stream = connected(&proxy).await;
    says(&mut stream, b"before").await;
    proxy.drop_connections().await;
    is_closed(&mut stream).await;
    says(&mut connected(&proxy).await, b"after").await;
}

#[tokio::test]
async fn a_black_hole_lets_nothing_pass_and_closes_nothing() {
    let proxy = Proxy::to(echo().await).await;
    let mut old = connected(&proxy).await;
    says(&mut old, b"before").await;

    proxy.black_hole().await;
    old.write_all(b"held").await.expect("the sender is not told");
    let mut new = connected(&proxy).await;
    new.write_all(b"new").await.expect("the sender is not told");
    // Another way to the same server shows that an answer would have had the time.
    let other = Proxy::to(echo().await).await;
    says(&mut connected(&other).await, b"meanwhile").await;
    assert_eq!(old.try_read(&mut [0; 4]).expect_err("silence").kind(), ErrorKind::WouldBlock);
    assert_eq!(new.try_read(&mut [0; 4]).expect_err("silence").kind(), ErrorKind::WouldBlock);

    proxy.restore().await;
    assert_eq!(heard(&mut old, 4).await, b"held");
    assert_eq!(heard(&mut new, 3).await, b"new");
}

#[tokio::test]
async fn a_delay_adds_to_both_ways_and_not_to_each_message() {
    let proxy = Proxy::to(echo().await).await;
    let mut stream = connected(&proxy).await;
    says(&mut stream, b"before").await;
    proxy.delay(Duration::from_millis(100)).await;

    let begun = tokio::time::Instant::now();
    says(&mut stream, b"there and back").await;
    assert!(begun.elapsed() >= Duration::from_millis(200));

    proxy.restore().await;
    says(&mut stream, b"after").await;
}

#[tokio::test]
async fn a_trap_loses_the_bytes_it_waits_for_and_closes_that_connection_only() {
    let proxy = Proxy::to(echo().await).await;
    let (mut victim, mut other) = (connected(&proxy).await, connected(&proxy).await);
    says(&mut victim, b"before").await;
    says(&mut other, b"before").await;

    let trap = proxy.cut_after(Direction::ToClient, |bytes| bytes.ends_with(b"secret")).await;
    assert!(!trap.has_sprung());
    // In two parts: it is seen all the same.
    says(&mut victim, b"sec").await;
    victim.write_all(b"ret").await.expect("sent");
    timeout(SOON, trap.sprung()).await.expect("soon");
    is_closed(&mut victim).await;

    // Once only.
    says(&mut other, b"secret").await;
}
