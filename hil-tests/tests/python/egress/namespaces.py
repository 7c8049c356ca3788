"""Three network namespaces: the box's, and on a cable each, the cluster's and the robots'. They end with this process.

The box's has a default route over the cluster's cable, so that whatever wants to leave finds a way out and is seen on it.
"""

import os
import shutil
import subprocess

BOX, CLUSTER, SECOND = "10.99.0.1", "10.99.0.2", "10.99.0.3"
AT_THE_ROBOTS, ROBOTS = "10.98.0.1", "10.98.0.2"


class NoNamespace(Exception):
    """Why this machine lets nobody make a network namespace."""


class Namespace:
    """Held by a process that ends when its input does: with this one, however that ends."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise NoNamespace(self.holder.stderr.read().strip() or "unshare made none")

    def command(self, *words):
        """What runs a command in here."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *words]

    def run(self, *words):
        done = subprocess.run(self.command(*words), capture_output=True, text=True)
        if done.returncode != 0:
            raise NoNamespace(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()


class Joined:
    """The box's namespace, the cluster's and the robots'."""

    def __init__(self):
        for tool in ["unshare", "nsenter", "ip"]:
            if shutil.which(tool) is None:
                raise NoNamespace(f"there is no {tool}")
        if os.geteuid() != 0:
            raise NoNamespace("only root may make one here")
        self.box, self.cluster, self.robots = Namespace(), Namespace(), Namespace()
        self.box.run("ip", "link", "set", "lo", "up")
        self.join("cluster", [BOX], self.cluster, [CLUSTER, SECOND])
        self.join("robots", [AT_THE_ROBOTS], self.robots, [ROBOTS])
        self.box.run("ip", "route", "add", "default", "via", CLUSTER)

    def join(self, cable, box_addresses, other, addresses):
        """A cable between the box and another, named alike at both ends."""
        self.box.run("ip", "link", "add", cable, "type", "veth", "peer", "name", cable, "netns", str(other.holder.pid))
        for namespace, given in [(self.box, box_addresses), (other, addresses)]:
            for address in given:
                namespace.run("ip", "address", "add", f"{address}/24", "dev", cable)
            namespace.run("ip", "link", "set", cable, "up")

    def close(self):
        for namespace in [self.box, self.cluster, self.robots]:
            namespace.close()
