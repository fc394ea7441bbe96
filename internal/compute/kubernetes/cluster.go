package kubernetes

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/patchbay/patchbay/internal/arm"
	"github.com/patchbay/patchbay/internal/connection"
	"github.com/patchbay/patchbay/internal/problem"
)

const apiVersion = "2025-10-01"

// entraServer is the audience of tokens for clusters that sign in with Entra: the same
// application in every tenant (mem).
const entraServer = "6dae42f8-4368-4678-94ff-3960e28e3630"

// Limits of talking to a cluster.
const (
	callTimeout = 30 * time.Second
	// keepFor is how long a cluster's credentials are used before they are asked for again.
	keepFor = 5 * time.Minute
)

// Clusters opens managed clusters with the credentials that ARM hands out for them. It
// keeps them for some minutes and is safe for many goroutines.
type Clusters struct {
	arm *arm.Client
	// token gets a token of ours for an audience; clusters that sign in with Entra take it.
	token func(ctx context.Context, audience string) (string, error)

	mu   sync.Mutex
	kept map[string]keptAPI
}

type keptAPI struct {
	api   API
	until time.Time
}

// NewClusters makes the opener.
func NewClusters(c *arm.Client, token func(ctx context.Context, audience string) (string, error)) *Clusters {
	return &Clusters{arm: c, token: token, kept: map[string]keptAPI{}}
}

// Open finds the API of a cluster; SOURCE_NOT_FOUND when there is no such cluster.
func (c *Clusters) Open(ctx context.Context, cluster string) (API, error) {
	key := connection.FoldID(cluster)
	c.mu.Lock()
	kept, ok := c.kept[key]
	c.mu.Unlock()
	if ok && time.Now().Before(kept.until) {
		return kept.api, nil
	}
	config, err := c.credentials(ctx, cluster)
	if err != nil {
		return nil, err
	}
	api, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, unusable(cluster).Because(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept[key] = keptAPI{api, time.Now().Add(keepFor)}
	return api, nil
}

// credentials asks ARM for a kubeconfig and reads it.
func (c *Clusters) credentials(ctx context.Context, cluster string) (*rest.Config, error) {
	var answer struct {
		Kubeconfigs []struct {
			Value string `json:"value"`
		} `json:"kubeconfigs"`
	}
	err := c.arm.Post(ctx, cluster+"/listClusterUserCredential", apiVersion, nil, &answer)
	if arm.IsNotFound(err) {
		return nil, gone(cluster).Because(err)
	}
	if err != nil {
		return nil, err
	}
	if len(answer.Kubeconfigs) == 0 {
		return nil, unusable(cluster)
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Kubeconfigs[0].Value)
	if err != nil {
		return nil, unusable(cluster)
	}
	return c.read(ctx, cluster, raw)
}

func gone(cluster string) *problem.Error {
	return problem.New(problem.SourceNotFound, cluster, "there is no Kubernetes cluster at %s", cluster).While("open cluster")
}

func unusable(cluster string) *problem.Error {
	return problem.New(problem.ClusterRefused, cluster, "the credentials the cluster gave out cannot be used").While("open cluster").
		WithFix("see what they hold: az aks get-credentials --file - --subscription SUB -g GROUP -n NAME")
}

// read makes a client's configuration of a kubeconfig. Only what stands in it counts:
// the files and programs it names were meant for another machine.
func (c *Clusters) read(ctx context.Context, cluster string, raw []byte) (*rest.Config, error) {
	config, err := clientcmd.Load(raw)
	if err != nil {
		return nil, unusable(cluster) // the cause may quote the file, which holds keys
	}
	chosen := config.Contexts[config.CurrentContext]
	if chosen == nil || config.Clusters[chosen.Cluster] == nil || config.AuthInfos[chosen.AuthInfo] == nil {
		return nil, unusable(cluster)
	}
	server, user := config.Clusters[chosen.Cluster], config.AuthInfos[chosen.AuthInfo]
	if !strings.HasPrefix(server.Server, "https://") {
		return nil, unusable(cluster)
	}
	out := &rest.Config{
		Host: server.Server, UserAgent: FieldManager, Timeout: callTimeout, QPS: -1, WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{CAData: server.CertificateAuthorityData, ServerName: server.TLSServerName,
			CertData: user.ClientCertificateData, KeyData: user.ClientKeyData},
		BearerToken: user.Token,
	}
	if signsInWithEntra(user) {
		out.WrapTransport = func(next http.RoundTripper) http.RoundTripper { return &signIn{c.token, next} }
	}
	return out, nil
}

// signsInWithEntra tells whether a kubeconfig's user is whoever asks: it names a program
// that would fetch a token.
func signsInWithEntra(user *clientcmdapi.AuthInfo) bool {
	return user.Token == "" && len(user.ClientCertificateData) == 0 && (user.Exec != nil || user.AuthProvider != nil)
}

// signIn puts a token of ours on every request.
type signIn struct {
	token func(ctx context.Context, audience string) (string, error)
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s *signIn) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := s.token(r.Context(), entraServer)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return s.next.RoundTrip(r)
}
