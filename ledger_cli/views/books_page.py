"""A reconciliation as one page that needs no network, no script and no other file. A controller reads and prints it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from ledger_cli.books.matcher import VERDICTS, Finding
from ledger_cli.books.reconciliation import Reconciliation, by_size, next_step
from ledger_cli.views.books_text import MEANINGS
from ledger_cli.views.page import document, escaped
from ledger_cli.views.text import format_time


def page(result: Reconciliation, reports: Sequence[str], now: datetime | None = None) -> str:
    """Return the page: the sums first, then what needs a person by size, each with the next step beside it."""
    parts = [*_head(result, reports), *_sums(result), *_verdicts(result), *_findings(result)]
    made = format_time(now or datetime.now(UTC))
    parts.append(
        f'<p class="soft end">Made {made} by <code>ledger reconcile</code>. A positive amount was '
        "received, a negative one was paid back or taken. The remainder is what no verdict explains.</p>"
    )
    return document(f"Reconciliation of {result.processor_id}", "\n".join(parts))


def _head(result: Reconciliation, reports: Sequence[str]) -> Iterable[str]:
    number = len(result.to_decide)
    yield f"<h1>Reconciliation of {escaped(result.processor_id)}</h1>"
    if result.is_explained:
        yield '<span class="outcome RECORDED">All is explained</span>'
    else:
        yield f'<span class="outcome CONFLICT">{number:,} to decide</span>'
    yield f'<p class="soft">Reports: {", ".join(f"<code>{escaped(report)}</code>" for report in reports)}<br>'
    yield f"Period: {_period(result)}</p>"


def _period(result: Reconciliation) -> str:
    first, last = result.period.first, result.period.last
    if first is None and last is None:
        return "all records of the processor"
    begin = "the first record" if first is None else format_time(first)
    return f"{begin} to {'the last record' if last is None else format_time(last)}"


def _sums(result: Reconciliation) -> Iterable[str]:
    yield '<h2>Sums</h2><div class="scroll"><table id="sums"><tr><th>Currency</th>'
    yield "".join(
        f'<th class="number">{name}</th>' for name in ("Report", "Ledger", "Explained", "To decide", "Remainder")
    )
    yield "</tr>"
    for currency, sums in result.sums.items():
        amounts = (sums.report, sums.ledger, sums.explained, sums.to_decide, sums.remainder)
        cells = "".join(_number(result, amount, currency) for amount in amounts)
        yield f"<tr><td>{escaped(currency)}</td>{cells}</tr>"
    yield "</table></div>"


def _verdicts(result: Reconciliation) -> Iterable[str]:
    yield '<h2>Verdicts</h2><div class="scroll"><table id="verdicts">'
    yield (
        '<tr><th>Verdict</th><th class="number">Number</th><th class="number">Report</th>'
        '<th class="number">Ledger</th><th>Meaning</th></tr>'
    )
    for verdict in VERDICTS:
        reported, recorded = result.sums_of(verdict)
        number = result.counts.get(verdict, 0)
        if number:
            yield (
                f'<tr><td><code>{verdict}</code></td><td class="number">{number:,}</td>'
                f'<td class="number">{_amounts(result, reported)}</td>'
                f'<td class="number">{_amounts(result, recorded)}</td><td>{MEANINGS[verdict]}</td></tr>'
            )
    yield "</table></div>"


def _amounts(result: Reconciliation, amounts: Mapping[str, Decimal]) -> str:
    return "<br>".join(f"{result.text(amount, currency)} {escaped(currency)}" for currency, amount in amounts.items())


def _findings(result: Reconciliation) -> Iterable[str]:
    to_decide = by_size(result.to_decide)
    if not to_decide:
        return
    yield '<h2>To decide</h2><div class="scroll"><table id="findings" class="whole">'
    yield (
        '<tr><th>Payment</th><th>Verdict</th><th class="number">Line</th><th class="number">Report</th>'
        '<th class="number">Ledger</th><th>Next step</th></tr>'
    )
    yield from (_row(result, finding) for finding in to_decide)
    yield "</table></div>"


def _row(result: Reconciliation, finding: Finding) -> str:
    line, record = finding.line, finding.record
    ids = (record.transaction_id, record.entry_id) if record is not None else ("", "")
    if record is None and line is not None:
        ids = line.transaction_id or line.type, line.entry_id
    named = "<br>".join(f"<code>{escaped(one)}</code>" for one in ids if one)
    reported = '<td class="number"></td>'
    if line is not None:
        reported = _number(result, finding.report_amount, line.currency, with_currency=True)
    recorded = '<td class="number"></td>'
    if record is not None:
        recorded = _number(result, finding.ledger_amount, record.currency, with_currency=True)
    number = "" if line is None else escaped(result.place_of(line).removeprefix("line "))
    return (
        f'<tr><td>{named}</td><td><code>{finding.verdict}</code></td><td class="number">{number}</td>'
        f"{reported}{recorded}<td>{escaped(next_step(finding) or '')}</td></tr>"
    )


def _number(result: Reconciliation, amount: Decimal, currency: str, *, with_currency: bool = False) -> str:
    unit = f" {escaped(currency)}" if with_currency else ""
    return f'<td class="number">{result.text(amount, currency)}{unit}</td>'
