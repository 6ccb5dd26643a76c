"""The plot on the page of benchmarks: a bar for each variant, whose parts are the starts of its functions."""

import html
import statistics
from collections.abc import Iterator

from bench.figures import CHAIN, GOALS, VARIANTS, Measured, paired_ratios
from bench.variants import STEPS, SWITCHED_OFF

WIDTH, LABELS, RIGHT = 908, 290, 60
ROW, BAR, TOP, NUMBER = 34, 20, 64, 40
STYLE = """<style>
  text { fill: #1f2328; font: 14px system-ui, sans-serif } .label { text-anchor: end } .ours { font-weight: 600 }
  .note { fill: #57606a; font-size: 12px } .goal { stroke: #57606a; stroke-dasharray: 4 3 }
  .s0 { fill: #8c959f } .s1 { fill: #0969da } .s2 { fill: #1a7f37 } .s3 { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #8b949e } .goal { stroke: #8b949e }
    .s0 { fill: #6e7681 } .s1 { fill: #4493f8 } .s2 { fill: #3fb950 } .s3 { fill: #f0883e }
  }
</style>"""
NAMES = {variant: VARIANTS[variant] for variant in ("single", "ours", "lean", "typical")}


def svg(measured: Measured) -> str:
    """Draw the picture. A bar's length is CPU time as a share of lean's, and its parts are the functions."""
    lean = statistics.median(measured.chain_s("lean"))
    rows = [*NAMES.items(), *((how, how) for how in SWITCHED_OFF)]
    longest = max(statistics.median(measured.chain_s(variant)) for variant, _ in rows) / lean
    scale = (WIDTH - LABELS - RIGHT) / longest
    height = TOP + ROW * len(rows) + 36
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="CPU time of cold starts, as a share of lean\'s">'
    )
    lines = [
        head,
        STYLE,
        '<text class="ours" x="24" y="26">CPU time of four cold starts, lean = 1 (shorter is better)</text>',
    ]
    for number, step in enumerate(STEPS):
        x = LABELS - 40 + number * 168
        lines.append(f'<rect class="s{number}" x="{x}" y="38" width="10" height="10"/>')
        lines.append(f'<text class="note" x="{x + 15}" y="47">{step}</text>')
    goal = LABELS + GOALS[f"{CHAIN}, relative to lean"][0] * scale
    for number, (variant, label) in enumerate(rows):
        is_above = number < len(NAMES)
        y = TOP + number * ROW + (0 if is_above else 26)
        lines += _bar(measured, variant, label, y, scale=scale / lean, line=goal if is_above else WIDTH)
    heading = TOP + ROW * len(NAMES) + 14
    lines.append(f'<text class="label ours" x="{LABELS - 10}" y="{heading}">this ledger …</text>')
    lines.append(f'<line class="goal" x1="{goal:.1f}" y1="{TOP - 6}" x2="{goal:.1f}" y2="{heading - 10}"/>')
    lines.append(f'<text class="note" x="{goal + 6:.1f}" y="{heading}">the goal</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _bar(measured: Measured, variant: str, label: str, y: int, *, scale: float, line: float) -> Iterator[str]:
    """Yield the bar with its label, and its number beside it, or beside the line that would cross the number."""
    css = "label ours" if variant == "ours" else "label"
    yield f'<text class="{css}" x="{LABELS - 10}" y="{y + 15}">{html.escape(label)}</text>'
    x = float(LABELS)
    for name in measured.functions_of(variant):
        step = name.rpartition(" ")[2]
        width = statistics.median(measured.step_s(name)) * scale
        css = f"s{STEPS.index(step)}" if step in STEPS else "s0"
        yield f'<rect class="{css}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"><title>{step}</title></rect>'
        x += width
    share = statistics.median(paired_ratios(measured.chain_s(variant), measured.chain_s("lean")))
    beside = line if x < line < x + NUMBER else x
    yield f'<text x="{beside + 8:.1f}" y="{y + 15}">{share:.2f}</text>'
