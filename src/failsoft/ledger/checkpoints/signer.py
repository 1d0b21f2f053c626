"""Who signs a log: its heads, in each commit, and its checkpoints. What was signed last is remembered outside the database.

Theory of operation
-------------------
A *head* is signed inside each commit. Whoever changes the database without the key leaves a head that isn't signed, and
the writer doesn't build on one. A *checkpoint* is signed for others to keep, and can't be taken back:

    the head is this key's  →  the tree extends what was signed last  →  state, fsynced  →  sign  →  insert  →  anchors

1. The signer's state is one file that holds the text of the last checkpoint. It's written before the signature is made:
   after a crash the same checkpoint may be signed again, another of its size never.
2. A tree that's smaller than the state's, or doesn't extend it, is refused: the database was rolled back or forked.
3. The newest checkpoint that an anchor still shows is held against the tree when the log is opened: a snapshot of the
   machine that is put back takes the signer's state along.

All of it happens under the ledger's lock, so processes that share a log share the state as well.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from failsoft.ledger.checkpoints.anchors import cut_out
from failsoft.ledger.checkpoints.ranges import stored_range
from failsoft.ledger.disk import sync_folder
from failsoft.ledger.format.merkle import Frontier, consistency_proof, verify_consistency
from failsoft.ledger.format.note import MAX_NOTE, Checkpoint, Note, NoteInvalid
from failsoft.ledger.keys.ed25519 import SigningKey, open_checkpoint, verify
from failsoft.ledger.store import Queries


class SignerRefused(Exception):
    """This tree isn't the one that was signed before: the database was rolled back, forked, or isn't this key's."""


class Signer:
    """One log's key and its memory. Everything waits; under the ledger's lock.

    Args:
        key: signs; its name is the log's origin.
        state: the file of the last checkpoint signed, on another disk than the database where that can be; its folder is
            there. Made at the first checkpoint.
        former: the key that this one takes over from: its heads are built on, and it signs the next checkpoint too.
    """

    def __init__(self, key: SigningKey, state: Path, former: SigningKey | None = None) -> None:
        self.key = key
        self.state = state
        self.former = former

    def sign_head(self, frontier: Frontier) -> bytes:
        """The signature of a head, 64 bytes."""
        return self.key.sign(Checkpoint(self.key.name, frontier.size, frontier.root()).head)

    def signed_head(self, frontier: Frontier, signature: object) -> bool:
        """Is this the key's signature of this head (or the former key's, while it's being taken over from)?"""
        keys = [each for each in (self.key, self.former) if each is not None]
        return any(signed_head(key, frontier, signature) for key in keys)

    def last(self) -> Checkpoint | None:
        """The last checkpoint that was signed; None if none was.

        Raises:
            SignerRefused: the state can't be read, or is another log's.
        """
        try:
            with open(self.state, "rb") as file:
                whole = cut_out(file.read(MAX_NOTE)).decode()
            text, signed, _ = whole.rpartition("\n\n")
            found = Checkpoint.parse(text + "\n" if signed else whole)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = str(error) if isinstance(error, (OSError, NoteInvalid)) else "not UTF-8"
            raise SignerRefused(f"{self.state}: the signer's state can't be read ({why})") from None
        if found.origin != self.key.name:
            raise SignerRefused(f"{self.state}: the signer's state is of another log, {found.origin!r:.80}")
        return found

    def check(self, connection: Queries, frontier: Frontier, anchored: Sequence[Checkpoint] = ()) -> None:
        """Does the tree extend what was signed last, and what anchors show?

        Raises:
            SignerRefused: it doesn't, or checkpoints are there and no state.
        """
        last = self.last()
        if last is None and connection.execute("SELECT 1 FROM ledger_checkpoint LIMIT 1").fetchone():
            raise SignerRefused(
                f"{self.state}: the signer's state is missing, and checkpoints were signed: put it back, or save the newest "
                "anchored checkpoint under that name"
            )
        for each in (*([last] if last else []), *anchored):
            extends(connection, frontier, each)

    def sign(self, connection: Queries, frontier: Frontier) -> bytes:
        """The signed checkpoint of this tree; remembered first.

        Raises:
            SignerRefused: the tree doesn't extend what was signed last.
            OSError: the state can't be written: then nothing is signed.
        """
        self.check(connection, frontier)
        text = Checkpoint(self.key.name, frontier.size, frontier.root()).text
        self._remember(text)
        note = self.key.sign_note(text)
        if self.former is not None:
            note = Note(text, note.signatures + self.former.sign_note(text).signatures)
        return note.to_bytes()

    def _remember(self, text: str) -> None:
        aside = self.state.with_name(self.state.name + ".new")
        try:
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.state)
            sync_folder(self.state.parent)
        except OSError as error:
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(self.state)) from None  # a full disk's names no file


def signed_head(key: SigningKey, frontier: Frontier, signature: object) -> bool:
    """Is this the key's signature of this head?"""
    head = Checkpoint(key.name, frontier.size, frontier.root()).head
    return type(signature) is bytes and verify(key.verifier, head, signature)


def extends(connection: Queries, frontier: Frontier, earlier: Checkpoint) -> None:
    """Is the tree with this frontier an extension of an earlier one?

    Raises:
        SignerRefused: it's smaller, or another one.
    """
    size, old = frontier.size, earlier.size
    if old > size:
        raise SignerRefused(
            f"{size} records, and a checkpoint of {old} was signed: the log was cut or rolled back, or it's a copy, and the "
            "original was written to since"
        )
    if old == 0:
        return
    proof = consistency_proof(lambda first, end: stored_range(connection, first, end), old, size)
    if not verify_consistency(old, earlier.root, size, frontier.root(), proof):
        raise SignerRefused(f"the first {old} records aren't those that were signed: the log was forked")


def publish(connection: Queries, signer: Signer) -> tuple[int, bytes]:
    """Sign and store a checkpoint of the log as it is, inside a transaction that nobody writes beside.

    Returns:
        The log's size and the signed checkpoint: where there's one of this size, that; whoever signed it may not have
        brought it to the anchors.

    Raises:
        SignerRefused: the head isn't this key's, the tree not the one that was signed, or the stored checkpoint not its.
        OSError: the signer's state can't be written.
        sqlite3.Error, DatabaseFailed: it can't be stored.
    """
    size, data, signature = connection.execute("SELECT size, frontier, sig FROM ledger_head").fetchone()
    frontier = Frontier.from_bytes(size, data)
    if not signer.signed_head(frontier, signature):
        raise SignerRefused("the log's head isn't signed by this key: others than its writers changed it")
    stored = connection.execute("SELECT note FROM ledger_checkpoint WHERE size = ?", (size,)).fetchone()
    if stored is not None:
        if not _is_of(bytes(stored[0]), Checkpoint(signer.key.name, size, frontier.root()), signer.key):
            raise SignerRefused(
                f"the stored checkpoint of {size} records isn't this key's of this log: run `failsoft verify`"
            )
        return size, bytes(stored[0])
    note = signer.sign(connection, frontier)
    connection.execute("INSERT INTO ledger_checkpoint (size, note) VALUES (?, ?)", (size, note))
    return size, note


def _is_of(note: bytes, checkpoint: Checkpoint, key: SigningKey) -> bool:
    try:
        signed = open_checkpoint(note, [key.verifier])
    except NoteInvalid:
        return False
    return signed.by_log and signed.checkpoint == checkpoint
