"""A jurisdiction's certificates for one run: its authority, and who may speak to whom by name. Made with openssl."""

import pathlib
import shutil
import subprocess

BOX, SERVER = "spiffe://factory.example/jp/box", "spiffe://factory.example/jp/triton"


class NoCertificates(Exception):
    """There is no openssl that makes them."""


def make(folder):
    """`ca.pem`, and `box.pem`, `server.pem` with their keys beside them."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("openssl") is None:
        raise NoCertificates("there is no openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "2"]
    openssl("req", "-x509", *key, "-subj", "/CN=factory.example jp", "-keyout", folder / "ca.key", "-out",
            folder / "ca.pem", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, identity, use in [("box", BOX, "clientAuth"), ("server", SERVER, "serverAuth")]:
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        (folder / f"{name}.ext").write_text(
            f"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={use}\n"
            f"subjectAltName=URI:{identity}\n")
        openssl("x509", "-req", "-sha256", "-days", "2", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem",
                "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", folder / f"{name}.ext", "-out",
                folder / f"{name}.pem")
    return folder


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise NoCertificates(done.stderr.strip())
