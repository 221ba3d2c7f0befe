"""The rules of rows that are kept under one key."""

from storage.changes import DeleteRows, ForgetRows, KeyedChange, PutRow, Refused, RowsSaved, SwapRow, TakeRow
from storage.keyed import BY_ROW, KeyedRows

ROWS_PER_DELETE = 10_000


def apply_keyed(rows: KeyedRows, change: KeyedChange) -> RowsSaved | Refused:
    """Apply one change to the rows."""
    match change:
        case PutRow(row=row):
            rows.put(BY_ROW[type(row)], row)
            return RowsSaved((row,))
        case SwapRow(old=old, new=new):
            kind = BY_ROW[type(new)]
            if rows.get(kind, kind.key_of(old)) != old:
                return Refused("conflict", "the row is another one by now")
            rows.put(kind, new)
            return RowsSaved((new,))
        case TakeRow(kind=kind, key=key):
            row = rows.get(kind, key)
            if row is None:
                return Refused("not_found", "no such row")
            rows.delete(kind, [key])
            return RowsSaved((row,))
        case DeleteRows(kind=kind, field=field, value=value, but=but):
            found = rows.find(kind, field, value, after="", limit=ROWS_PER_DELETE)
            gone = [row for row in found if kind.key_of(row) != but]
            rows.delete(kind, [kind.key_of(row) for row in gone])
            return RowsSaved(tuple(gone))
        case ForgetRows(kind=kind, before=before):
            rows.forget(kind, before)
            return RowsSaved(())
