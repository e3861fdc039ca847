"""Results as Markdown tables, as JSON, and as a chart."""

import json
import statistics
from xml.sax.saxutils import escape


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half of what lies between the first and the third quarter."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 if values else 0
    first, _, third = statistics.quantiles(values, n=4)
    return (third - first) / 2


def ratios(results, row, path):
    """Of each round, to the direct run of the same round; above 1 is better, also where less is."""
    found = []
    for number, result in enumerate(results[row.name].get(path, [])):
        direct = results[row.name]["direct"][number]
        mine, its = result[row.judged_by], direct[row.judged_by]
        if mine and its:
            found.append(mine / its if row.judged_by == "rate" else its / mine)
    return found


def direct_figure(results, row):
    """Its spread says how still the machine was."""
    values = [result[row.judged_by] for result in results[row.name]["direct"]]
    figure, noise = median(values), f"±{spread(values) / median(values) * 100:.0f} %"
    if row.judged_by != "rate":
        return f"{figure:.0f} µs {noise}"
    return f"{figure * 8 / 1e9:.1f} Gbit/s {noise}" if row.unit == "B/s" else f"{figure:.0f}/s {noise}"


def table(head, lines):
    text = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join(text + [f"| {' | '.join(line)} |" for line in lines])


def title(path):
    return path.replace("x2", " ×2")


def rate_table(results, rows, paths):
    others = [path for path in paths if path != "direct"]
    lines = []
    for row in rows:
        cells = []
        for path in others:
            values = ratios(results, row, path)
            cells.append(f"{median(values):.2f} ±{spread(values):.2f}" if values else "-")
        lines.append([row.name, direct_figure(results, row), *cells])
    return table(["", "direct", *map(title, others)], lines)


def cpu_table(results, rows, paths):
    """Processor time of the whole machine for the same work, as a multiple of the direct run's."""
    others = [path for path in paths if path != "direct"]
    lines = []
    for row in rows:
        if row.busy:  # then both processors are busy whatever we do
            continue
        direct = median([result["cpu"] for result in results[row.name]["direct"]])
        unit = "s/GB" if row.unit == "B/s" else "ms/1000"
        figure = direct if row.unit == "B/s" else direct * 1e3
        cells = []
        for path in others:
            mine = median([result["cpu"] for result in results[row.name].get(path, [])])
            cells.append(f"{mine / direct:.2f}" if mine and direct else "-")
        lines.append([row.name, f"{figure:.2f} {unit}", *cells])
    return table(["", "direct", *map(title, others)], lines)


def share_table(results, rows, paths):
    ours = [path for path in paths
            if any(result["user_share"] is not None for row in rows for result in results[row.name].get(path, []))]
    if not ours:
        return ""
    lines = []
    for row in rows:
        cells = []
        for path in ours:
            shares = [r["user_share"] for r in results[row.name].get(path, []) if r["user_share"] is not None]
            cells.append(f"{median(shares) * 100:.0f} %" if shares else "-")
        lines.append([row.name, *cells])
    return table(["", *map(title, ours)], lines)


def memory_table(memory, resident):
    lines = []
    for path, figures in memory.items():
        if figures is None:
            continue
        base = resident.get(path)
        lines.append([title(path), f"{base / 1e6:.1f} MB" if base else "-", f"{figures[0]:.0f} B", f"{figures[1]:.0f} B"])
    return table(["", "proxies, idle", "their own, each flow", "the kernel's, each flow"], lines)


def as_json(machine, results, memory, resident):
    return json.dumps({"machine": machine, "results": results, "idle_flow_bytes": memory, "resident_bytes": resident},
                      indent=1)


COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222255")


def as_svg(results, rows, paths):
    """Bars of the ratios to direct, one group a row."""
    others = [path for path in paths if path != "direct"]
    bar, gap, left, top, width = 12, 14, 210, 30, 420
    group = bar * len(others) + gap
    height = top + group * len(rows) + 40 + 18 * len(others)
    most = max([1.1] + [median(ratios(results, row, path)) or 0 for row in rows for path in others])
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{height}" '
           'font-family="sans-serif" font-size="11">',
           f'<text x="{left}" y="16">share of the direct rate (latency: direct / path); the line is 1</text>']
    for place, row in enumerate(rows):
        y = top + place * group
        out.append(f'<text x="{left - 8}" y="{y + group / 2}" text-anchor="end">{escape(row.name)}</text>')
        for number, path in enumerate(others):
            value = median(ratios(results, row, path))
            if value is None:
                continue
            out.append(f'<rect x="{left}" y="{y + number * bar}" width="{value / most * width:.1f}" height="{bar - 2}" '
                       f'fill="{COLOURS[number % len(COLOURS)]}"/>')
            out.append(f'<text x="{left + value / most * width + 4:.1f}" y="{y + number * bar + 9}">{value:.2f}</text>')
    line, bottom = left + width / most, top + group * len(rows)
    out.append(f'<line x1="{line:.1f}" y1="{top}" x2="{line:.1f}" y2="{bottom}" stroke="#000"/>')
    for number, path in enumerate(others):
        y = bottom + 20 + 18 * number
        out.append(f'<rect x="{left}" y="{y}" width="12" height="12" fill="{COLOURS[number % len(COLOURS)]}"/>')
        out.append(f'<text x="{left + 18}" y="{y + 10}">{escape(title(path))}</text>')
    return "\n".join(out + ["</svg>", ""])
