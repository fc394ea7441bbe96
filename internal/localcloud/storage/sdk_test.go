package storage

import (
	"bytes"
	"io"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

func TestSDKByKey(t *testing.T) {
	t.Parallel()
	b := withAccount(t)
	s := b.byKey(b.key(0), "127.0.0.1")
	c := s.NewContainerClient("photos")
	_, err := c.Create(b.ctx, &container.CreateOptions{Metadata: map[string]*string{"owner": to.Ptr("me")}})
	want(t, err, 0, "")
	_, err = c.Create(b.ctx, nil)
	want(t, err, 409, "ContainerAlreadyExists")

	content := bytes.Repeat([]byte("0123456789"), 1000)
	for _, name := range []string{"a b/ü+%.txt", "a b/second", "z"} {
		_, err = c.NewBlockBlobClient(name).UploadBuffer(b.ctx, content, &blockblob.UploadBufferOptions{
			HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("text/plain")}, Metadata: map[string]*string{"k": to.Ptr("v")},
		})
		want(t, err, 0, "")
	}
	first := c.NewBlobClient("a b/ü+%.txt")
	got, err := first.DownloadStream(b.ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 5, Count: 7}})
	want(t, err, 0, "")
	if raw, err := io.ReadAll(got.Body); err != nil || string(raw) != "5678901" {
		t.Errorf("range = %q, %v", raw, err)
	}
	props, err := first.GetProperties(b.ctx, nil)
	want(t, err, 0, "")
	if *props.ContentLength != 10000 || *props.ContentType != "text/plain" || *props.Metadata["K"] != "v" {
		t.Errorf("properties: %d %s %v", *props.ContentLength, *props.ContentType, props.Metadata)
	}
	_, err = c.NewBlockBlobClient("z").UploadBuffer(b.ctx, content, &blockblob.UploadBufferOptions{
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr[azcore.ETag]("*")}},
	})
	want(t, err, 409, "BlobAlreadyExists")

	var names []string
	pager := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{MaxResults: to.Ptr[int32](2)})
	pages := 0
	for pager.More() && pages < 9 {
		page, err := pager.NextPage(b.ctx)
		want(t, err, 0, "")
		pages++
		for _, item := range page.Segment.BlobItems {
			names = append(names, *item.Name)
		}
	}
	if len(names) != 3 || pages != 2 {
		t.Errorf("%d pages: %q", pages, names)
	}
	tree, err := c.NewListBlobsHierarchyPager("/", nil).NextPage(b.ctx)
	want(t, err, 0, "")
	if len(tree.Segment.BlobPrefixes) != 1 || *tree.Segment.BlobPrefixes[0].Name != "a b/" || len(tree.Segment.BlobItems) != 1 {
		t.Errorf("hierarchy: %+v", tree.Segment)
	}
	list, err := s.NewListContainersPager(nil).NextPage(b.ctx)
	want(t, err, 0, "")
	if len(list.ContainerItems) != 1 || *list.ContainerItems[0].Name != "photos" {
		t.Errorf("containers: %+v", list.ContainerItems)
	}
	_, err = s.GetProperties(b.ctx, nil)
	want(t, err, 0, "")
	_, err = first.Delete(b.ctx, nil)
	want(t, err, 0, "")
	_, err = first.DownloadStream(b.ctx, nil)
	want(t, err, 404, "BlobNotFound")
	_, err = first.GetProperties(b.ctx, nil)
	want(t, err, 404, "BlobNotFound")
	_, err = c.Delete(b.ctx, nil)
	want(t, err, 0, "")
	_, err = c.GetProperties(b.ctx, nil)
	want(t, err, 404, "ContainerNotFound")
}
