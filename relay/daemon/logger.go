package daemon

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/DeRuina/timberjack"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/imrelay/imrelay/relay/config"
)

// Bounds of a log file: it is rotated at logFileMB, and logFiles old ones are kept, compressed.
const (
	logFileMB = 100
	logFiles  = 7
)

// Lines for machines are gathered: one write for all that were logged within logDelay. A kill -9 loses at most those.
const (
	logBuffer = 64 << 10
	logDelay  = 100 * time.Millisecond
)

// NewLogger makes the logger that the configuration asks for. out is where lines go unless a file is configured;
// terminal says that a person reads it. The level can be changed while it runs. close flushes, and closes the file.
func NewLogger(c config.Log, out io.Writer, terminal bool) (log *zap.Logger, level zap.AtomicLevel, closeLog func() error, err error) {
	level, err = zap.ParseAtomicLevel(c.Level)
	if err != nil {
		return nil, level, nil, fmt.Errorf("log level: %w", err)
	}
	closeLog = func() error { return nil }
	if c.File != "" {
		file := &timberjack.Logger{
			Filename: c.File, MaxSize: logFileMB, MaxBackups: logFiles, Compression: "gzip", LocalTime: true,
		}
		out, terminal, closeLog = file, false, file.Close
	}
	sink := zapcore.Lock(zapcore.AddSync(out))
	if !terminal {
		gathered := &zapcore.BufferedWriteSyncer{WS: sink, Size: logBuffer, FlushInterval: logDelay}
		closeFile := closeLog
		sink, closeLog = gathered, func() error { return errors.Join(gathered.Stop(), closeFile()) }
	}
	return zap.New(zapcore.NewCore(encoder(c.Format, terminal), sink, level)), level, closeLog, nil
}

// encoder is the console one for persons and the JSON one for machines.
func encoder(format string, terminal bool) zapcore.Encoder {
	ec := zap.NewProductionEncoderConfig()
	ec.TimeKey = "time"
	ec.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	ec.EncodeDuration = zapcore.StringDurationEncoder
	if format == "console" || (format != "json" && terminal) {
		if terminal {
			ec.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		ec.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		return zapcore.NewConsoleEncoder(ec)
	}
	return zapcore.NewJSONEncoder(ec)
}
