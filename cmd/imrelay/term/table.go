package term

import (
	"fmt"
	"io"
	"strings"
)

// gap is what stands between two columns.
const gap = "  "

// Table is rows under a header, printed with columns as wide as their widest cell.
type Table struct {
	head []string
	rows [][]Cell
}

// Cell is one cell: its text, and how it is dressed once it is aligned.
type Cell struct {
	Text string
	// Dress may be nil. It must not change what is seen.
	Dress func(string) string
}

// NewTable begins a table.
func NewTable(head ...string) *Table { return &Table{head: head} }

// Row adds a row. Missing cells are empty, and cells beyond the header are left out.
func (t *Table) Row(cells ...Cell) {
	row := make([]Cell, len(t.head))
	copy(row, cells)
	for i := range row {
		row[i].Text = Clean(row[i].Text)
	}
	t.rows = append(t.rows, row)
}

// Print writes the table; one without rows has no header either.
func (t *Table) Print(w io.Writer, s Style) error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := t.widths()
	var b strings.Builder
	head := make([]Cell, len(t.head))
	for i, text := range t.head {
		head[i] = Cell{Text: text, Dress: s.Dim}
	}
	line(&b, head, widths)
	for _, row := range t.rows {
		line(&b, row, widths)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func (t *Table) widths() []int {
	widths := make([]int, len(t.head))
	for i, text := range t.head {
		widths[i] = Width(text)
	}
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], Width(c.Text))
		}
	}
	return widths
}

// line writes one line without spaces at its end, so that it can be copied and compared.
func line(b *strings.Builder, row []Cell, widths []int) {
	last := len(row) - 1
	for last > 0 && row[last].Text == "" {
		last--
	}
	for i, c := range row[:last+1] {
		text := c.Text
		fill := ""
		if i < last {
			fill = strings.Repeat(" ", widths[i]-Width(text)) + gap
		}
		if c.Dress != nil {
			text = c.Dress(text)
		}
		b.WriteString(text + fill)
	}
	b.WriteByte('\n')
}
