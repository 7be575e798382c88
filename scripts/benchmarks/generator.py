"""The load generator, a process of its own: a job as JSON on standard input, its result as JSON on standard output.

Two phases: paced (requests at a fixed rate whatever the server does, for latency at moderate load) and saturated (a
fixed number of requests under way, each response followed by the next request, for throughput). No message ID is used
twice on one socket: when a socket has used all of them, another takes its place.
"""

import gc
import json
import select
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict

from benchmarks.datagrams import MESSAGE_IDS, TOKEN_BYTES
from benchmarks.load import LOST_AFTER_S, Job, Load, Phase
from benchmarks.processes import cpu_seconds, machine_cpu_seconds, resident_bytes
from benchmarks.wire import Peer, Wire, open_wire

LOST_CHECK_S = 0.25


class Generator:
    """Sends a job's requests and keeps count of the responses."""

    def __init__(self, job: Job, wire: Wire) -> None:
        self._job = job
        self._wire = wire
        self._sent_at: dict[int, float] = {}
        """Requests under way, oldest first: token → when it was sent."""
        self._latencies_s = array("d")
        self._phases: list[Phase] = []
        """All that there were, warm-up included; the last is the one that is counted in."""
        self._phase = self._new_phase()
        self._all: list[Peer] = []
        self._by_fd: dict[int, Peer] = {}
        self._active = [self._new_peer() for _ in range(job.sockets)]
        self._retired: list[Peer] = []
        """Peers that have used all their message IDs and wait for their last responses."""
        self._check_at = 0.0

    def run(self) -> Load:
        """Run the phases one after the other."""
        job = self._job
        self._pace(job.warm_up_s / 2)
        self._settle()
        paced = self.measure_paced(job.paced_s)
        self._saturate(job.warm_up_s)
        self._settle()
        saturated = self._measure(lambda: self._saturate(job.saturated_s))
        return Load(paced, saturated, sum(phase.succeeded + phase.succeeded_after for phase in self._phases))

    def measure_paced(self, seconds: float) -> Phase:
        """Run a paced phase alone."""
        return self._measure(lambda: self._pace(seconds))

    @property
    def latencies_s(self) -> Sequence[float]:
        """Of the last phase, the responses that came when no more were sent included."""
        return self._latencies_s

    def _new_peer(self) -> Peer:
        peer = self._wire.open(len(self._all))
        self._all.append(peer)  # and stays open: nobody else gets its port, and so its message IDs
        self._by_fd[peer.fd] = peer
        return peer

    # -- phases ----------------------------------------------------------------------------------

    def _measure(self, action: Callable[[], None]) -> Phase:
        phase = self._new_phase()
        self._latencies_s = array("d")
        watched = self._job.watched
        cpu_before = [cpu_seconds(pid) for pid in watched]
        own_before, machine_before = time.process_time(), machine_cpu_seconds()
        started_s = time.perf_counter()
        action()
        phase.seconds = time.perf_counter() - started_s
        phase.cpu_s = [cpu_seconds(pid) - before for pid, before in zip(watched, cpu_before, strict=True)]
        phase.generator_cpu_s = time.process_time() - own_before
        phase.machine_cpu_s = machine_cpu_seconds() - machine_before
        phase.resident_bytes = [resident_bytes(pid) for pid in watched]
        latencies_s = sorted(self._latencies_s)
        if latencies_s:
            phase.p50_us = latencies_s[len(latencies_s) // 2] * 1e6
            phase.p99_us = latencies_s[len(latencies_s) * 99 // 100] * 1e6
        succeeded = phase.succeeded
        self._settle()
        phase.succeeded, phase.succeeded_after = succeeded, phase.succeeded - succeeded
        self._new_phase()  # what is sent from now on belongs to another
        return phase

    def _new_phase(self) -> Phase:
        self._phase = Phase()
        self._phases.append(self._phase)
        return self._phase

    def _saturate(self, seconds: float) -> None:
        """Keep a window of requests under way on each socket."""
        window = self._job.window
        now_s = time.perf_counter()
        end_s = now_s + seconds
        while now_s < end_s:
            received = 0
            for index, peer in enumerate(self._active):
                received += self._receive(peer)
                if peer.under_way < window:
                    if peer.next_mid == MESSAGE_IDS:
                        self._retired.append(peer)
                        self._active[index] = peer = self._new_peer()
                    self._send(peer, window - peer.under_way)
            if self._retired:
                received += sum(map(self._receive, self._retired))
                self._retired = [peer for peer in self._retired if peer.under_way]
            if not received:
                self._receive_waiting(0.005)
            now_s = time.perf_counter()
            if now_s >= self._check_at:
                self._give_up_lost(now_s)

    def _pace(self, seconds: float) -> None:
        """Send at the job's rate, each request at its time, from the sockets in turn."""
        interval_s = 1 / self._job.paced_rate
        now_s = time.perf_counter()
        next_s, end_s = now_s, now_s + seconds
        turn = 0
        while next_s < end_s:
            now_s = time.perf_counter()
            if now_s < next_s:
                self._receive_waiting(next_s - now_s)
                continue
            turn = (turn + 1) % len(self._active)
            if self._active[turn].next_mid == MESSAGE_IDS:
                self._active[turn] = self._new_peer()
            self._send(self._active[turn], 1)
            next_s += interval_s
            if now_s >= self._check_at:
                self._give_up_lost(now_s)

    def _settle(self) -> None:
        """Wait for what is under way, at most until it counts as lost."""
        while self._sent_at:
            self._receive_waiting(0.01)
            self._give_up_lost(time.perf_counter())

    # -- datagrams -------------------------------------------------------------------------------

    def _send(self, peer: Peer, count: int) -> None:
        now_s = time.perf_counter()
        sent = self._wire.send(peer, count)
        first = peer.number * MESSAGE_IDS + peer.next_mid
        self._sent_at.update(dict.fromkeys(range(first, first + sent), now_s))
        self._phase.sent += sent
        peer.next_mid += sent
        peer.under_way += sent

    def _receive_waiting(self, timeout_s: float) -> None:
        """Wait for responses and take them."""
        # select() rather than poll(), whose resolution of 1 ms is too coarse for a pace.
        ready, _, _ = select.select(list(self._by_fd), [], [], timeout_s)
        for fd in ready:
            self._receive(self._by_fd[fd])

    def _receive(self, peer: Peer) -> int:
        responses = self._wire
        count = responses.receive(peer)
        if not count:
            return 0
        now_s = time.perf_counter()
        if responses.all_succeeded(count):
            pop = self._sent_at.pop
            sent_at = [pop(token, None) for token in responses.tokens(count)]
            if None not in sent_at:
                self._latencies_s.extend([now_s - sent_s for sent_s in sent_at])  # type: ignore[operator]
                self._phase.succeeded += count
                peer.under_way -= count
                return count
            for maybe_sent_s in sent_at:
                self._count_response(peer, self._job.expected_code, maybe_sent_s, now_s)
            return count
        for slot in range(count):
            self._examine(peer, responses.message(slot), now_s)
        return count

    def _examine(self, peer: Peer, message: bytes, now_s: float) -> None:
        """Count a response one by one, and acknowledge it where it wants that."""
        if len(message) < 4:
            self._phase.other["malformed"] += 1
            return
        kind, code = message[0] >> 4 & 3, message[1]
        if code == 0:
            if kind == 2:
                self._phase.acknowledged_first += 1
            else:
                self._phase.other["RST"] += 1
            return
        if kind == 0:
            self._wire.acknowledge(peer, message[2:4])
        token = int.from_bytes(message[4 : 4 + TOKEN_BYTES], "little")
        self._count_response(peer, code, self._sent_at.pop(token, None), now_s)

    def _count_response(self, peer: Peer, code: int, sent_s: float | None, now_s: float) -> None:
        if sent_s is None:
            self._phase.other["repeated or late"] += 1
            return
        peer.under_way -= 1
        self._latencies_s.append(now_s - sent_s)
        if code == self._job.expected_code:
            self._phase.succeeded += 1
        else:
            self._phase.other[f"{code >> 5}.{code & 0x1F:02}"] += 1

    def _give_up_lost(self, now_s: float) -> None:
        self._check_at = now_s + LOST_CHECK_S
        lost = []
        for token, sent_s in self._sent_at.items():
            if now_s - sent_s < LOST_AFTER_S:
                break
            lost.append(token)
        for token in lost:
            del self._sent_at[token]
            self._all[token // MESSAGE_IDS].under_way -= 1
        self._phase.unanswered += len(lost)


def main() -> None:
    """Do the job on standard input."""
    job = Job.from_json(json.load(sys.stdin))
    generator = Generator(job, open_wire(job))
    gc.disable()  # nothing here makes cycles, and a collection would look like a slow server
    json.dump(asdict(generator.run()), sys.stdout)


if __name__ == "__main__":
    main()
