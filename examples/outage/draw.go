package main

import (
	"bytes"
	"fmt"
	"time"
)

// The picture's measures, in pixels.
const (
	width, height            = 860, 320
	left, right, top, bottom = 56, 130, 34, 40
)

// colours of the destinations, in their order: three that stay calm, and one that stands
// out. They can be told apart on light and on dark.
var colours = [...]string{"#3b82f6", "#10b981", "#8b5cf6", "#ef4444"}

// draw gives the lag of each destination over time as SVG.
func (r *recording) draw() []byte {
	end := r.samples[len(r.samples)-1].at
	most := time.Second
	for _, name := range r.names {
		most = max(most, r.worst(name))
	}
	step := axisStep(most)
	most = (most + step - 1) / step * step
	x := func(at time.Duration) float64 { return left + float64(at)/float64(end)*(width-left-right) }
	y := func(lag time.Duration) float64 {
		return height - bottom - float64(lag)/float64(most)*(height-top-bottom)
	}

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="8" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="#ef4444" fill-opacity="0.08"/>`+"\n",
		x(r.from), top, x(r.to)-x(r.from), height-top-bottom)
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#b91c1c" text-anchor="middle">%s does not answer</text>`+"\n", (x(r.from)+x(r.to))/2, top+16, victim)
	fmt.Fprintf(&b, `<text x="%d" y="20" fill="#111827" font-weight="600">Lag of four destinations while one is away</text>`+"\n", left)
	for lag := time.Duration(0); lag <= most; lag += step {
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e5e7eb"/><text x="%d" y="%.1f" fill="#6b7280" text-anchor="end">%v</text>`+"\n",
			left, y(lag), width-right, y(lag), left-8, y(lag)+4, lag)
	}
	for at, every := time.Duration(0), axisStep(end); at <= end; at += every {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#6b7280" text-anchor="middle">%v</text>`+"\n", x(at), height-bottom+18, at)
	}
	for i, name := range r.names {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round" points="`, colours[i])
		for _, s := range r.samples {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(s.at), y(s.lag[name]))
		}
		b.WriteString("\"/>\n")
		line := top + 20 + 34*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s" font-weight="600">%s</text><text x="%d" y="%d" fill="#6b7280">at most %v</text>`+"\n",
			width-right+12, line, colours[i], name, width-right+12, line+15, r.worst(name).Round(10*time.Millisecond))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// axisStep divides an axis into at most eight parts of a round length.
func axisStep(length time.Duration) time.Duration {
	for _, step := range []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second} {
		if length <= 8*step {
			return step
		}
	}
	return length
}
