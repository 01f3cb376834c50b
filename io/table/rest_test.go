package table

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"
)

// server is a REST catalog: the routes that publishing and showing take, in front of a
// SQL catalog.
type server struct {
	behind *opened
	// token is asked for, where it is not "".
	token string
	// lost is how many commits are made and then answered with an error.
	lost atomic.Int64
	// refused is how many commits are not made, and answered with an error.
	refused atomic.Int64
	commits atomic.Int64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
		fail(w, http.StatusUnauthorized, errors.New("who are you"))
		return
	}
	route := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v1, namespaces, NAMESPACE, tables, NAME
	switch {
	case len(route) == 2 && route[1] == "config":
		answer(w, map[string]any{"defaults": map[string]string{}, "overrides": map[string]string{}})
	case len(route) == 2 && r.Method == http.MethodPost:
		var asked struct {
			Namespace []string `json:"namespace"`
		}
		err := errors.Join(json.NewDecoder(r.Body).Decode(&asked), s.behind.CreateNamespace(r.Context(), asked.Namespace, nil))
		s.reply(w, err, map[string]any{"namespace": asked.Namespace, "properties": map[string]string{}})
	case len(route) == 4 && r.Method == http.MethodPost:
		s.make(w, r, route[2])
	case len(route) == 5 && r.Method == http.MethodPost:
		s.commit(w, r, table.Identifier{route[2], route[4]})
	case len(route) == 5:
		t, err := s.behind.LoadTable(r.Context(), table.Identifier{route[2], route[4]})
		s.replyTable(w, err, t)
	default:
		fail(w, http.StatusNotFound, errors.New("no such route"))
	}
}

func (s *server) make(w http.ResponseWriter, r *http.Request, namespace string) {
	var asked struct {
		Name   string            `json:"name"`
		Schema *iceberg.Schema   `json:"schema"`
		Props  map[string]string `json:"properties"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	t, err := s.behind.CreateTable(r.Context(), table.Identifier{namespace, asked.Name}, asked.Schema, catalog.WithProperties(asked.Props))
	s.replyTable(w, err, t)
}

func (s *server) commit(w http.ResponseWriter, r *http.Request, id table.Identifier) {
	var asked struct {
		Requirements table.Requirements `json:"requirements"`
		Updates      table.Updates      `json:"updates"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	s.commits.Add(1)
	if s.refused.Add(-1) >= 0 {
		fail(w, http.StatusServiceUnavailable, errors.New("try later"))
		return
	}
	metadata, location, err := s.behind.CommitTable(r.Context(), id, asked.Requirements, asked.Updates)
	switch {
	case err != nil:
		fail(w, http.StatusConflict, err)
	case s.lost.Add(-1) >= 0:
		fail(w, http.StatusGatewayTimeout, errors.New("the answer was lost"))
	default:
		answer(w, map[string]any{"metadata-location": location, "metadata": metadata})
	}
}

func (s *server) replyTable(w http.ResponseWriter, err error, t *table.Table) {
	if err != nil {
		s.reply(w, err, nil)
		return
	}
	answer(w, map[string]any{"metadata-location": t.MetadataLocation(), "metadata": t.Metadata()})
}

func (s *server) reply(w http.ResponseWriter, err error, value any) {
	switch {
	case err == nil:
		answer(w, value)
	case absent(err):
		fail(w, http.StatusNotFound, err)
	case errors.Is(err, catalog.ErrTableAlreadyExists), errors.Is(err, catalog.ErrNamespaceAlreadyExists):
		fail(w, http.StatusConflict, err)
	default:
		fail(w, http.StatusInternalServerError, err)
	}
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the test sees what is missing
}

func fail(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": err.Error(), "type": "Error", "code": code}})
}

// newServer is a place whose catalog is a server's.
func newServer(t *testing.T) (place, *server) {
	p := newPlace(t)
	behind, err := p.open(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{behind: behind}
	listening := httptest.NewServer(s)
	t.Cleanup(func() {
		listening.Close()
		if err := behind.close(); err != nil {
			t.Error(err)
		}
	})
	p.Catalog = listening.URL
	return p, s
}

func TestREST(t *testing.T) {
	p, s := newServer(t)
	s.token = "hunter2"
	one, two := p.snapshot(t, 5), p.snapshot(t, 7)
	if _, err := Publish(t.Context(), p.Options, one, Replace); !errors.Is(err, ErrCatalog) || !strings.Contains(err.Error(), TokenVariable) {
		t.Errorf("without a token: %v", err)
	}
	t.Setenv(TokenVariable, s.token)
	p.publish(t, one, Replace)
	p.publish(t, two, Append)
	p.publish(t, two, Append)
	p.publish(t, two, Replace)
	n1, n2 := one.Manifest.Rows(), two.Manifest.Rows()
	want := []string{
		line(Replace, one, n1, false, one),
		line(Append, two, n1+n2, false, one, two),
		line(Replace, two, n2, true, two),
	}
	if diff := cmp.Diff(want, p.holds(t)); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	if got := s.commits.Load(); got != 3 {
		t.Errorf("%d commits, want 3", got)
	}
}

// TestLostAnswers: a commit whose answer was lost counts once, and one that was refused
// is told as not known, and right to repeat.
func TestLostAnswers(t *testing.T) {
	p, s := newServer(t)
	one, two := p.snapshot(t, 5), p.snapshot(t, 7)
	s.lost.Store(1)
	if r := p.publish(t, one, Append); !r.Published {
		t.Errorf("though its answer was lost: %+v", r)
	}
	s.refused.Store(1)
	if _, err := Publish(t.Context(), p.Options, two, Append); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "publish again") {
		t.Errorf("refused: %v", err)
	}
	for _, published := range []bool{true, false} {
		if r := p.publish(t, two, Append); r.Published != published || r.TableRows != one.Manifest.Rows()+two.Manifest.Rows() {
			t.Errorf("again: %+v", r)
		}
	}
}

// TestTokens has an OAuth2 client's credential exchanged for a token.
func TestTokens(t *testing.T) {
	p, s := newServer(t)
	s.token = "short-lived"
	asked := ""
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.FormValue("client_id") + ":" + r.FormValue("client_secret") + " for " + r.FormValue("scope")
		answer(w, map[string]any{"access_token": s.token, "token_type": "bearer", "expires_in": 60})
	}))
	defer tokens.Close()
	t.Setenv(CredentialVariable, "id:secret")
	t.Setenv(ScopeVariable, "tables")
	t.Setenv(OAuthVariable, tokens.URL)
	p.publish(t, p.snapshot(t, 2), Replace)
	if asked != "id:secret for tables" {
		t.Errorf("asked by %q", asked)
	}
}

// TestTableElsewhere has a catalog that keeps its tables where this program cannot write.
func TestTableElsewhere(t *testing.T) {
	p, s := newServer(t)
	p.publish(t, p.snapshot(t, 2), Replace)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		s.ServeHTTP(recorded, r)
		warehouse := "file://" + filepath.Join(filepath.Dir(p.out), "warehouse")
		w.WriteHeader(recorded.Code)
		_, _ = w.Write([]byte(strings.ReplaceAll(recorded.Body.String(), warehouse, "s3://bucket/warehouse"))) // the client sees what is missing
	}))
	defer front.Close()
	p.Catalog = front.URL
	_, publishing := Publish(t.Context(), p.Options, p.snapshot(t, 3), Replace)
	_, showing := Show(t.Context(), p.Options)
	for _, err := range []error{publishing, showing} {
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "s3://bucket/warehouse/rl.db/dstar") {
			t.Errorf("error %v", err)
		}
	}
}
