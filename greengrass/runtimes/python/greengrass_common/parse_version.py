"""Interface versions: "1.5" -> (1, 5)."""


def parse_version(version):
    major, minor = version.split('.')[:2]
    return int(major), int(minor)
