"""What a figure is asked to be, and whether it is. A target that is missed is printed as missed."""


class Target:
    """Met when `figure(rows)` is at most `most`. The figure is None when a row that it needs is absent."""

    def __init__(self, text, most, figure, form="{:.2f}x", why=""):
        self.text, self.most, self.figure, self.form, self.why = text, most, figure, form, why

    def judge(self, rows):
        value = self.figure(rows)
        return {"text": self.text, "value": value, "met": None if value is None else value <= self.most}

    def line(self, rows):
        judged = self.judge(rows)
        if judged["met"] is None:
            return f"  target {self.text}: not measured"
        why = f" ({self.why})" if self.why and not judged["met"] else ""
        return f"  target {self.text}: {self.form.format(judged['value'])}, {'met' if judged['met'] else 'MISSED'}{why}"


WORDS = {"median": "in time", "cpu": "in processor time", "memory": "in memory"}


def ours_of(rows, name=None):
    """The row of that name; without one, nexcage's first."""
    return rows.get(name or next((n for n in rows if n.startswith("nexcage")), ""))


def ratio(most, peer, of="median", ours=None, why=""):
    """At most so many times what the peer takes."""
    def figure(rows):
        mine, theirs = ours_of(rows, ours), rows.get(peer)
        return mine[of] / theirs[of] if mine and theirs else None
    subject = f"{ours}: " if ours else ""
    return Target(f"{subject}<= {most}x of {peer} {WORDS[of]}", most, figure, why=why)


def of_slowest(most, peers, ours=None, why=""):
    """At most so many times what the slowest of the peers takes."""
    def figure(rows):
        mine, theirs = ours_of(rows, ours), [rows[peer]["median"] for peer in peers if peer in rows]
        return mine["median"] / max(theirs) if mine and len(theirs) == len(peers) else None
    return Target(f"<= {most}x of the slower of {' and '.join(peers)}", most, figure, why=why)


def limit(most, ours=None, why=""):
    """At most so many milliseconds."""
    def figure(rows):
        mine = ours_of(rows, ours)
        return mine["median"] if mine else None
    return Target(f"{ours + ': ' if ours else ''}<= {most} ms", most, figure, "{:.2f} ms", why)


def more(most, peer, ours=None, why=""):
    """At most so many milliseconds more than the peer."""
    def figure(rows):
        mine, theirs = ours_of(rows, ours), rows.get(peer)
        return mine["median"] - theirs["median"] if mine and theirs else None
    return Target(f"<= {most} ms more than {peer}", most, figure, "{:+.2f} ms", why)


def memory(most, ours=None, why=""):
    """At most so many MiB."""
    def figure(rows):
        mine = ours_of(rows, ours)
        return mine["memory"] / (1 << 20) if mine else None
    return Target(f"peak <= {most} MiB", most, figure, "{:.0f} MiB", why)
