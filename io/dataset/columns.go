package dataset

import (
	"diffstitch/io/layout/transitions"
	"diffstitch/io/parquet"
	"diffstitch/io/snapshot"
)

// types are the kinds of values as a manifest names them.
var types = map[parquet.Kind]string{
	parquet.Boolean: "bool", parquet.Int32: "int32", parquet.Int64: "int64", parquet.Float: "float32", parquet.ByteArray: "string",
}

// Columns are those of a D* that is written so, as a manifest lists them.
func Columns(config WriterConfig) (columns []snapshot.Column) {
	for _, f := range transitions.Columns(config) {
		columns = append(columns, snapshot.Column{Name: f.Name, Type: types[f.Kind], Width: f.List, Nullable: f.Nullable})
	}
	return columns
}
