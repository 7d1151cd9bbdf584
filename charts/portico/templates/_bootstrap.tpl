{{/* What Envoy is told at its start, as `portico up` tells it, but over the network. */}}
{{- define "portico.bootstrap" -}}
{{- $root := .root -}}
admin:
  address:
    socket_address: { address: 127.0.0.1, port_value: 19001 }
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services:
      - envoy_grpc:
          cluster_name: portico
          retry_policy:
            retry_back_off: { base_interval: 0.1s, max_interval: 1s }
  cds_config: { ads: {}, resource_api_version: V3 }
  lds_config: { ads: {}, resource_api_version: V3 }
static_resources:
  clusters:
    - name: portico
      type: STRICT_DNS
      connect_timeout: 1s
      load_assignment:
        cluster_name: portico
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: { address: {{ include "portico.host" $root }}, port_value: {{ $root.Values.xds.port }} }
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              connection_keepalive: { interval: 10s, timeout: 5s }
      {{- if ne $root.Values.xds.tls.mode "off" }}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: {{ include "portico.host" $root }}
          common_tls_context:
            # Envoy by itself would stop at 1.2.
            tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
            alpn_protocols: [h2]
            tls_certificate_sds_secret_configs:
              - name: certificate
                sds_config:
                  resource_api_version: V3
                  path_config_source: { path: /etc/portico/bootstrap/certificate.yaml }
            validation_context_sds_secret_config:
              name: authority
              sds_config:
                resource_api_version: V3
                path_config_source: { path: /etc/portico/bootstrap/authority.yaml }
      {{- end }}
    # For the listener below: of what Envoy tells of itself, others see the numbers only.
    - name: admin
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: { address: 127.0.0.1, port_value: 19001 }
  listeners:
    - name: stats
      address:
        socket_address: { address: {{ $root.Values.listen | trimPrefix "[" | trimSuffix "]" | quote }}, port_value: 19000 }
      # Callers that fill up Envoy do not keep the numbers from those who look into it.
      ignore_global_conn_limit: true
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: stats
                route_config:
                  virtual_hosts:
                    - name: stats
                      domains: ["*"]
                      routes:
                        - match: { path: /ready, headers: [{ name: ":method", string_match: { exact: GET } }] }
                          route: { cluster: admin }
                        - match: { path: /stats/prometheus, headers: [{ name: ":method", string_match: { exact: GET } }] }
                          route: { cluster: admin }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
# A thousand shards of keys would have ten counters each.
stats_config:
  stats_matcher:
    exclusion_list:
      patterns:
        - prefix: extension_config_discovery.http_filter.keys
overload_manager:
  resource_monitors:
    - name: envoy.resource_monitors.global_downstream_max_connections
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
        max_active_downstream_connections: {{ $root.Values.envoy.maxConnections | int64 }}
{{- end -}}
