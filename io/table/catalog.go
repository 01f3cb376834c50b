package table

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	sqlcatalog "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	_ "modernc.org/sqlite" // the driver of SQL catalogs
)

// CatalogName is the name by which other programs open a SQL catalog: several may share
// a file, told apart by their names. It is what pyiceberg takes where none is given.
const CatalogName = "default"

// The environment of REST catalogs, whose secrets are in no option.
const (
	// TokenVariable holds a bearer token.
	TokenVariable = "DIFFSTITCH_CATALOG_TOKEN"
	// CredentialVariable holds "id:secret" of an OAuth2 client, which a token is got for.
	CredentialVariable = "DIFFSTITCH_CATALOG_CREDENTIAL"
	// ScopeVariable holds the scope to ask for.
	ScopeVariable = "DIFFSTITCH_CATALOG_SCOPE"
	// OAuthVariable holds the URL of tokens, where it is not the catalog's own.
	OAuthVariable = "DIFFSTITCH_CATALOG_OAUTH_URI"
)

const (
	// answerWithin is how long a REST catalog may take to begin an answer.
	answerWithin = 2 * time.Minute
	// lockedFor is how long another process's lock on a SQLite file is waited for, in
	// milliseconds.
	lockedFor = 30_000
	// sqlitePrefix begins a catalog that is a SQLite file, by its absolute path.
	sqlitePrefix = "sqlite://"
)

// opened is a catalog in use.
type opened struct {
	catalog.Catalog
	close func() error
	// warehouse is where the files of new tables go; "" where the catalog knows.
	warehouse string
}

func (o Options) identifier() (table.Identifier, error) {
	id := strings.Split(o.Table, ".")
	for _, part := range id {
		if part == "" || strings.ContainsAny(part, "/\\%?#") || strings.TrimSpace(part) != part {
			id = nil
		}
	}
	if len(id) < 2 {
		return nil, fmt.Errorf("table: table %q: %w: give NAMESPACE.NAME", o.Table, ErrOptions)
	}
	return id, nil
}

// open opens the catalog. One that is a file is made where it is missing, if make says so.
func (o Options) open(ctx context.Context, make bool) (*opened, error) {
	scheme, _, remote := strings.Cut(o.Catalog, "://")
	switch {
	case o.Catalog == "":
		return nil, fmt.Errorf("table: no catalog: %w: give a SQLite file or the URL of a REST catalog", ErrOptions)
	case scheme == "http" || scheme == "https":
		return o.openREST(ctx)
	case remote && scheme+"://" != sqlitePrefix:
		return nil, fmt.Errorf("table: catalog %q: %w: it is a path, sqlite:///PATH, http:// or https://", o.Catalog, ErrOptions)
	}
	return o.openSQL(make)
}

// openSQL opens a SQLite file. Writers begin with the file's lock, so that none has to
// give up half-way.
func (o Options) openSQL(make bool) (*opened, error) {
	path, err := filepath.Abs(strings.TrimPrefix(o.Catalog, sqlitePrefix))
	if err != nil {
		return nil, fmt.Errorf("table: catalog %q: %w: %w", o.Catalog, ErrCatalog, err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !make {
		return nil, fmt.Errorf("table: catalog %q: %w: %w; table publish makes it", path, ErrCatalog, err)
	}
	if o.Warehouse == "" {
		o.Warehouse = filepath.Join(filepath.Dir(path), "warehouse")
	}
	warehouse, err := warehouseURI(o.Warehouse)
	if err != nil {
		return nil, err
	}
	query := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", lockedFor)}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("table: catalog %q: %w: %w", path, ErrCatalog, err)
	}
	c, err := sqlcatalog.NewCatalog(CatalogName, db, sqlcatalog.SQLite, iceberg.Properties{"warehouse": warehouse})
	if err != nil {
		err = errors.Join(err, db.Close())
		return nil, fmt.Errorf("table: catalog %q: %w: is it a SQLite file of a catalog, in a folder that is there and can be written to? %w", path, ErrCatalog, err)
	}
	return &opened{c, func() error { return errors.Join(c.Close(), db.Close()) }, warehouse}, nil
}

// openREST asks a REST catalog for its configuration.
func (o Options) openREST(ctx context.Context) (*opened, error) {
	options, err := o.restOptions()
	if err != nil {
		return nil, err
	}
	c, err := rest.NewCatalog(ctx, CatalogName, o.Catalog, options...)
	if err != nil {
		return nil, fmt.Errorf("table: catalog %s: %w: is it the address of an Iceberg REST catalog, and are %s or %s right? %w",
			o.Catalog, ErrCatalog, TokenVariable, CredentialVariable, err)
	}
	return &opened{c, c.Close, ""}, nil
}

func (o Options) restOptions() ([]rest.Option, error) {
	at, err := url.Parse(o.Catalog)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("table: catalog: %w: it is no URL of a server", ErrOptions) // it may hold a password
	}
	if at.User != nil || at.RawQuery != "" {
		return nil, fmt.Errorf("table: catalog at %s: %w: secrets go in %s or %s, not in its address", at.Host, ErrOptions, TokenVariable, CredentialVariable)
	}
	options := []rest.Option{rest.WithTransportFactory(transport)}
	if o.Warehouse != "" {
		options = append(options, rest.WithWarehouseLocation(o.Warehouse))
	}
	token, credential := os.Getenv(TokenVariable), os.Getenv(CredentialVariable)
	if token+credential != "" && at.Scheme == "http" && !loopback(at.Hostname()) {
		return nil, fmt.Errorf("table: catalog %s: %w: a secret would go over the network as it is; give https://", o.Catalog, ErrOptions)
	}
	if token != "" {
		options = append(options, rest.WithOAuthToken(token))
	}
	if credential != "" {
		options = append(options, rest.WithCredential(credential))
	}
	if scope := os.Getenv(ScopeVariable); scope != "" {
		options = append(options, rest.WithScope(scope))
	}
	if tokens := os.Getenv(OAuthVariable); tokens != "" {
		u, err := url.Parse(tokens)
		if err != nil || u.Host == "" || u.Scheme != "https" && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("table: %s: %w: it is no URL of https://", OAuthVariable, ErrOptions)
		}
		options = append(options, rest.WithAuthURI(u))
	}
	return options, nil
}

// transport is HTTP's own, but that a server which does not answer is given up.
func transport(config *tls.Config) (http.RoundTripper, func()) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig, t.ResponseHeaderTimeout = config, answerWithin
	return t, t.CloseIdleConnections
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
