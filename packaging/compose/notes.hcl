# What the token for the example server may do at OpenBao.
path "secret/data/notes" {
  capabilities = ["read"]
}
