//! Which addresses may be asked for keys.
//!
//! Whoever writes the name or the metadata of an issuer chooses an address that this process then
//! connects to from inside the network. So the address is judged and not the name, and what is not
//! known to be a plain unicast address is refused: also every way of writing one address inside
//! another (IPv4-mapped, NAT64, 6to4, Teredo).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Network;

/// IPv4 addresses that are not public, as (first address, prefix length), from the IANA registries
/// of special-purpose and multicast addresses. The last two are answered inside clouds.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// IPv4 networks of an organisation (RFC 1918), and those that carriers and overlays use (RFC 6598).
const PRIVATE_V4: [(Ipv4Addr, u32); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

/// Where clouds answer with credentials although the address looks like one of an organisation.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// All of IPv6 that is given out for public unicast.
const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// What of it is not: the IETF's own with Teredo, documentation, 6to4, more documentation.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// The networks of an organisation (RFC 4193).
const PRIVATE_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7);

/// Whether a host on that network may have the address.
pub(super) fn allows(network: Network, address: IpAddr) -> bool {
    match (network, address) {
        (Network::Loopback, address) => address.is_loopback(),
        (Network::Public, IpAddr::V4(address)) => is_public_v4(address),
        (Network::Public, IpAddr::V6(address)) => is_public_v6(address),
        (Network::Private, IpAddr::V4(address)) => {
            let private = PRIVATE_V4.iter().any(|block| in_v4(address, *block));
            (private || is_public_v4(address)) && !METADATA_V4.contains(&address)
        }
        (Network::Private, IpAddr::V6(address)) => {
            (in_v6(address, PRIVATE_V6) || is_public_v6(address)) && !METADATA_V6.contains(&address)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4.iter().any(|block| in_v4(address, *block))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    in_v6(address, PUBLIC_V6) && !NOT_PUBLIC_V6.iter().any(|block| in_v6(address, *block))
}

fn in_v4(address: Ipv4Addr, (first, length): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= length
}

fn in_v6(address: Ipv6Addr, (first, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_for_the_networks_that_it_is_on_and_for_no_other() {
        let row = |address: &str| {
            let address = address.parse().unwrap();
            [Network::Public, Network::Private, Network::Loopback].map(|network| allows(network, address))
        };
        for address in ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "2001:4860:4860::8888", "2606:4700::1111"]
        {
            assert_eq!(row(address), [true, true, false], "{address}");
        }
        for address in
            ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fc00::1", "fd12:3456::1"]
        {
            assert_eq!(row(address), [false, true, false], "{address}");
        }
        for address in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert_eq!(row(address), [false, false, true], "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "168.63.129.16",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert_eq!(row(address), [false, false, false], "{address}");
        }
    }
}
